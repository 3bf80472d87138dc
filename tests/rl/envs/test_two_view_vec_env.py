"""Games seen in two ways: each view is what an environment with that view alone shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rl_abn.recipes import EnvRecipe, Protocol, load_game
from rl_abn.rl import AleVecEnv
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.two_view_vec_env import TwoViewVecEnv, same_view, with_view

CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "sticky": {"repeat_action_probability": 0.25, "noop_max": 0},
    "cut off": {"max_frames": 201},
    "cut off at a whole step": {"max_frames": 200},
    "whole games": {"life_loss_terminal": False},
    "no pooling": {"max_pool": False},
}


def compare(recipe: EnvRecipe, protocol: Protocol, second: Protocol, n_steps: int) -> set[str]:
    """Plays the same games three times, byte by byte; returns what happened in them."""
    n = 2
    happened: set[str] = set()
    one = AleVecEnv(recipe.game, protocol, n, seed=0)
    other = AleVecEnv(recipe.game, with_view(protocol, second), n, seed=0)
    both = TwoViewVecEnv(recipe.game, protocol, second, n, seed=0)
    assert both.action_names == one.action_names
    assert both.observation_space == one.observation_space
    assert both.second_space == other.observation_space
    rng = np.random.default_rng(0)
    for turn, length in enumerate((n_steps, n_steps // 4)):  # anew without a seed, too
        assert np.array_equal(both.reset(), one.reset())
        assert np.array_equal(both.second_observations, other.reset())
        for t in range(length):
            actions = rng.integers(one.action_space.n, size=n)  # type: ignore[attr-defined]
            seen, rewards, dones, infos = both.step(actions)
            expected, expected_rewards, expected_dones, expected_infos = one.step(actions)
            assert np.array_equal(seen, expected), (turn, t)
            assert seen.dtype == expected.dtype
            assert np.array_equal(both.second_observations, other.step(actions)[0]), (turn, t)
            assert np.array_equal(rewards, expected_rewards)
            assert np.array_equal(dones, expected_dones)
            for info, expected_info in zip(infos, expected_infos, strict=True):
                assert info.keys() == expected_info.keys()
                happened |= info.keys()
                if "episode" in info:
                    assert {**info["episode"], "t": 0} == {**expected_info["episode"], "t": 0}
                if "terminal_observation" in info:
                    last = expected_info["terminal_observation"]
                    assert np.array_equal(info["terminal_observation"], last)
    return happened


def play(change: str, name: str, second: str, n_steps: int) -> set[str]:
    recipe = load_game("space_invaders")
    protocol = recipe.protocol[name].model_copy(update=CHANGES[change])  # type: ignore[index]
    happened = compare(recipe, protocol, recipe.protocol[second], n_steps)  # type: ignore[index]
    assert ("TimeLimit.truncated" in happened) == change.startswith("cut off")
    if change == "whole games":
        assert "lost_life" not in happened
    elif not change.startswith("cut off"):
        assert "lost_life" in happened
    return happened


def test_both_views_are_what_each_would_be_alone() -> None:
    play("as it is", "legacy", "mask_a3c", 110)


@pytest.mark.more
def test_games_that_are_cut_off_look_alike_too() -> None:
    assert "episode" in play("cut off", "mask_a3c", "legacy", 110)


@pytest.mark.full
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "second"), [("legacy", "mask_a3c"), ("mask_a3c", "legacy")])
def test_whole_games_look_alike(change: str, name: str, second: str) -> None:
    assert "episode" in play(change, name, second, 600)


@pytest.mark.full
@pytest.mark.parametrize("game", ["ms_pacman", "breakout", "pong", "seaquest", "assault"])
def test_every_game_looks_alike(game: str) -> None:
    recipe = load_game(game)
    compare(recipe, recipe.protocol["legacy"], recipe.protocol["mask_a3c"], 600)


@pytest.mark.more
def test_parts_play_the_games_of_a_whole() -> None:
    recipe = load_game("pong")
    protocols = recipe.protocol["legacy"], recipe.protocol["mask_a3c"]
    whole = TwoViewVecEnv(recipe.game, *protocols, 4)
    halves = PartitionedVecEnv([TwoViewVecEnv(recipe.game, *protocols, 2) for _ in range(2)])
    for env in (whole, halves):
        env.seed(3)
        env.reset()
    for _ in range(20):
        seen = [env.step(np.arange(4))[0] for env in (whole, halves)]
        assert np.array_equal(*seen)
        second = [part.env.second_observations for part in halves.parts]  # type: ignore[attr-defined]
        assert np.array_equal(np.concatenate(second), whole.second_observations)


def test_what_a_view_is() -> None:
    protocols = load_game("pong").protocol
    assert same_view(protocols["legacy"], protocols["machado2018"])
    assert not same_view(protocols["legacy"], protocols["mask_a3c"])
    seen = with_view(protocols["machado2018"], protocols["mask_a3c"])
    assert same_view(seen, protocols["mask_a3c"])
    assert seen.repeat_action_probability == 0.25
