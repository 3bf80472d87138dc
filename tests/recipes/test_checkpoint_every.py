"""How often an agent is saved: in steps of each game, or of all games as older recipes have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rl_abn.recipes import RunRecipe, load_agent, make_run_recipe
from rl_abn.runs import RECIPE, Run

Changed = Callable[[str, str], Path]
Complaint = Callable[[Callable[[], object]], str]


def resolve(*settings: str, agent: str = "ppo_abn_paper") -> RunRecipe:
    return make_run_recipe("space_invaders", agent, 0, settings)


@pytest.mark.parametrize("n_envs", [2, 8, 64, 256])
def test_a_game_is_played_as_long_however_many_there_are(n_envs: int) -> None:
    agent = resolve(f"algorithm.n_envs={n_envs}").agent
    assert agent.steps_between_checkpoints == 31_250 * n_envs


@pytest.mark.parametrize("total", [8, 32, 250_000])
def test_steps_of_all_games_become_steps_of_each(total: int) -> None:
    old = resolve(f"train.checkpoint_every={total}")
    new = resolve(f"train.checkpoint_every_game_steps={total // 8}")
    assert old == new
    assert old.agent.train.checkpoint_every is None
    assert old.agent.steps_between_checkpoints == total


def test_steps_of_all_games_that_do_not_divide_hold_as_they_are(complaint: Complaint) -> None:
    agent = resolve("train.checkpoint_every=1001").agent
    assert agent.train.checkpoint_every == 1001
    assert agent.steps_between_checkpoints == 1001
    both = ("train.checkpoint_every=1001", "train.checkpoint_every_game_steps=100")
    assert complaint(lambda: resolve(*both)) == (
        f"--set {both[0]} --set {both[1]}: expected train.checkpoint_every_game_steps = 100 "
        "alone, got train.checkpoint_every = 1001 too, which n_envs = 8 does not divide"
    )


def test_two_numbers_that_differ_are_refused_though_one_divides(complaint: Complaint) -> None:
    both = ("train.checkpoint_every=8000", "train.checkpoint_every_game_steps=2000")
    assert complaint(lambda: resolve(*both)) == (
        f"--set {both[0]} --set {both[1]}: expected train.checkpoint_every_game_steps = 2000 "
        "alone, got train.checkpoint_every = 8000 too"
    )
    same = ("train.checkpoint_every=8000", "train.checkpoint_every_game_steps=1000")
    assert resolve(*same) == resolve(same[1])


def test_games_and_steps_that_change_together_are_read_together() -> None:
    agent = resolve("algorithm.n_envs=64", "train.checkpoint_every=6400").agent
    assert agent.train.checkpoint_every_game_steps == 100


def test_a_recipe_file_of_before_means_what_it_meant(agent_with: Changed) -> None:
    agent = load_agent(
        str(agent_with("[network]", "[train]\ncheckpoint_every = 100_000\n\n[network]"))
    )
    assert agent.steps_between_checkpoints == 100_000


@pytest.mark.parametrize(("total", "kept"), [(250_000, None), (1001, 1001)])
def test_a_run_of_before_is_saved_at_the_same_steps(
    tmp_path: Path, total: int, kept: int | None
) -> None:
    run = Run.create(tmp_path / "run", resolve(), "cpu")
    path = run.path / RECIPE
    new = "checkpoint_every_game_steps = 31250"
    text = path.read_text("utf-8")
    assert new in text
    assert "checkpoint_every =" not in text
    path.write_text(text.replace(new, f"checkpoint_every = {total}"), "utf-8")
    agent = Run.open(run.path).recipe.agent
    assert agent.steps_between_checkpoints == total
    assert agent.train.checkpoint_every == kept
    # Written and read again, as a resumed run is.
    assert Run.open(run.path).with_train(keep=1).recipe.agent.steps_between_checkpoints == total
    assert Run.open(run.path).recipe.agent.steps_between_checkpoints == total


@pytest.mark.parametrize("value", ["0", "-8", "1.5", "often", "true"])
@pytest.mark.parametrize("field", ["checkpoint_every", "checkpoint_every_game_steps"])
def test_no_count_is_refused_in_one_line(complaint: Complaint, field: str, value: str) -> None:
    setting = f"train.{field}={value}"
    assert complaint(lambda: resolve(setting)).startswith(f"--set {setting}: train.{field}: ")
