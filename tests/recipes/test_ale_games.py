"""Games of ALE that no recipe file describes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import ale_py  # noqa: F401 - registers its games
import gymnasium
import numpy as np
import pytest

from rl_abn.protocols import ProtocolName
from rl_abn.recipes import list_recipes, load_env, make_run_recipe
from rl_abn.recipes.ale_games import game_called, list_games, list_ids, make_recipe, recipe_text
from rl_abn.rl.envs.ale_vec_env import AleVecEnv

Complaint = Callable[[Callable[[], object]], str]


def test_every_game_of_gymnasiums_registry_is_listed_under_its_id() -> None:
    registered = {
        spec.kwargs["game"]: name
        for name, spec in gymnasium.registry.items()
        if name.startswith("ALE/")
    }
    assert dict(zip(list_games(), list_ids(), strict=True)) == registered


@pytest.mark.parametrize("name", ["assault", "ALE/Assault-v5"])
def test_a_game_is_found_by_its_name_and_by_its_id(name: str) -> None:
    recipe = make_run_recipe(name, "ppo_abn_paper", 0)
    assert recipe.env_name == "assault"
    assert recipe.env == load_env(name) == make_recipe("assault")
    assert recipe.env.game.title == "Assault"
    assert recipe.env.scores is None
    assert recipe.env.objects == {}


@pytest.mark.parametrize("name", list_recipes("envs"))
def test_a_made_recipe_has_the_shipped_protocols(name: str) -> None:
    made, shipped = make_recipe(name), load_env(name)
    names: tuple[ProtocolName, ...] = ("legacy", "machado2018")
    for protocol in names:
        # FIRE at the start means nothing where a game has no such action.
        pressed = {"fire_reset": made.protocol[protocol].fire_reset}
        assert made.protocol[protocol] == shipped.protocol[protocol].model_copy(update=pressed)
    assert (made.game.id, made.game.rom) == (shipped.game.id, shipped.game.rom)


@pytest.mark.parametrize("name", ["pong", "ALE/Pong-v5"])
def test_a_shipped_recipe_goes_before_a_made_one(name: str) -> None:
    assert load_env(name).scores is not None
    assert make_run_recipe(name, "ppo_abn_paper", 0).env_name == "pong"


def test_a_made_game_is_played_with_its_own_actions() -> None:
    recipe = load_env("freeway")
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], 1, seed=0)
    assert env.action_names == ["NOOP", "UP", "DOWN"]
    assert env.reset().shape == (1, 4, 84, 84)
    assert env.step(np.array([1]))[0].shape == (1, 4, 84, 84)


def test_the_text_has_a_comment_or_an_explained_twin_for_every_field() -> None:
    text = recipe_text("assault")
    explained = {line.partition("=")[0].strip() for line in text.splitlines() if " # " in line}
    for table in tomllib.loads(text)["protocol"].values():
        assert set(table) <= explained
    assert {"title", "id", "rom", "kind"} <= explained


def test_the_text_loads_and_equals_the_made_recipe(tmp_path: Path) -> None:
    file = tmp_path / "assault.toml"
    file.write_text(recipe_text("assault"), "utf-8")
    assert load_env(str(file)) == load_env("assault")
    assert load_env(str(file)).model_fields_set == load_env("assault").model_fields_set


def test_the_examples_in_its_comments_are_valid(tmp_path: Path) -> None:
    lines = recipe_text("assault").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("# [scores]"))
    file = tmp_path / "assault.toml"
    file.write_text(
        "\n".join(line.removeprefix("# ") if i >= first else line for i, line in enumerate(lines))
    )
    recipe = load_env(str(file))
    assert recipe.scores is not None
    assert list(recipe.objects) == ["player"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("asault", "assault"),
        ("freway", "freeway"),
        ("montezumas_revenge", "montezuma_revenge"),
        ("spaceinvaders", "space_invaders"),
        ("ALE/Asault-v5", "ALE/Assault-v5"),
        ("ALE/Assault-v4", "ALE/Assault-v5"),
    ],
)
def test_a_misspelt_game_gets_the_nearest_of_all(
    complaint: Complaint, name: str, nearest: str
) -> None:
    message = complaint(lambda: load_env(name))
    assert message == f"unknown env '{name}': did you mean '{nearest}'?"


@pytest.mark.parametrize("name", ["combat", "joust", "maze_craze", "warlords"])
def test_games_for_two_players_are_none(complaint: Complaint, name: str) -> None:
    assert game_called(name) is None
    assert complaint(lambda: load_env(name)).startswith(f"unknown env '{name}': ")
