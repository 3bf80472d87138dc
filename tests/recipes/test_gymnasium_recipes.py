"""Recipes of Gymnasium environments."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_abn.recipes import GymnasiumRecipe, RunRecipe, load_env, load_game, make_run_recipe
from rl_abn.recipes.gymnasium_env import recipe_text

Complaint = Callable[[Callable[[], object]], str]


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("my_games:Catch-v0", "Catch-v0"),
        ("my.games:Ns/Catch-v12", "Ns-Catch-v12"),
        ("CarRacing-v3", "CarRacing-v3"),
    ],
)
def test_an_id_is_a_recipe(env: str, name: str) -> None:
    recipe = make_run_recipe(env, "ppo_abn_paper", 0, ["preprocessing.grey=true", "options.size=3"])
    assert isinstance(recipe.env, GymnasiumRecipe)
    assert (recipe.env_name, recipe.env.game.id) == (name, env)
    assert recipe.env.options == {"size": 3}
    assert recipe.env.preprocessing.grey
    assert recipe.protocol_name == "gymnasium"
    assert RunRecipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_ales_own_ids_stay_ales() -> None:
    assert load_env("ALE/Assault-v5").kind == "atari"


def test_a_file_goes_before_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/Catch-v0").write_text(recipe_text("CarRacing-v3"), "utf-8")
    assert load_env("mine/Catch-v0") == load_env("CarRacing-v3")


def test_the_text_loads_equals_the_made_recipe_and_explains_every_field(tmp_path: Path) -> None:
    text = recipe_text("my_games:Catch-v0")
    file = tmp_path / "catch.toml"
    file.write_text(text, "utf-8")
    assert load_env(str(file)) == load_env("my_games:Catch-v0")
    plain = tomllib.loads(text)
    assert set(plain) | {"scores"} == set(GymnasiumRecipe.model_fields)
    fields = [*plain["game"], *plain["preprocessing"], "kind", "processes"]
    for field in fields:
        line = next(line for line in text.splitlines() if line.startswith(f"{field} ="))
        assert " # " in line or field == "kind"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "gymnasium"', 'kind = "gym"', "kind: expected 'atari' or 'gymnasium', got 'gym'"),
        ("screen_size = 84", "screen_size = 10", "preprocessing.screen_size: expected greater"),
        ("grey =", "gray =", "unknown key 'preprocessing.gray': did you mean 'grey'?"),
        ("my_games:Catch-v0", "my games", "game.id: "),
        ('"sync"', '"threads"', "processes: expected 'sync' or 'async', got 'threads'"),
    ],
)
def test_a_mistake_is_one_line(
    complaint: Complaint, tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = tmp_path / "catch.toml"
    file.write_text(recipe_text("my_games:Catch-v0").replace(old, new), "utf-8")
    assert complaint(lambda: load_env(str(file))).startswith(f"{file}: {said}")


def test_what_is_for_ale_only_says_so(complaint: Complaint) -> None:
    assert complaint(lambda: load_game("my_games:Catch-v0")) == (
        "expected a game of ALE, got 'my_games:Catch-v0', another Gymnasium environment"
    )
