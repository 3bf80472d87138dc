import math
from itertools import product

import numpy as np
import pytest

from rl_abn.protocols import PROTOCOLS
from rl_abn.recipes import list_recipes, load_env
from rl_abn.rl import AleVecEnv
from rl_abn.rl.envs.single_env import SingleEnv
from tests.covering import covering

CHANGES = {
    "legacy": {},
    "sticky": {"repeat_action_probability": 0.25},
    "cut off": {"max_frames": 401},
    "cut off at a whole step": {"max_frames": 400},
    "no pooling": {"max_pool": False},
}


def compare(game, protocol, seed, n_steps):
    """Plays both to the end of a game, byte by byte.

    Returns:
        The steps played, and how the game ended: "over", "cut off", or None where it goes on.
    """
    env = AleVecEnv(game, protocol, 1, life_loss_terminal=False)
    env.seed_games(np.array([seed], np.int32))
    single_env = SingleEnv(game, protocol)
    assert env.action_names == single_env.action_names
    assert np.array_equal(env.reset()[0], single_env.reset(seed))
    rng = np.random.default_rng(seed)
    for t in range(n_steps):
        action = int(rng.integers(env.action_space.n))
        observations, rewards, dones, infos = env.step(np.array([action]))
        step = single_env.step(action)
        assert rewards[0] == step.reward
        assert dones[0] == (step.terminated or step.truncated)
        if dones[0]:
            assert step.truncated == infos[0].get("TimeLimit.truncated", False)
            if step.truncated:
                assert np.array_equal(infos[0]["terminal_observation"], step.observation)
            return t + 1, "cut off" if step.truncated else "over"
        assert np.array_equal(observations[0], step.observation), t
    return n_steps, None


@pytest.mark.parametrize(
    ("name", "protocol"),
    covering(product(list_recipes("envs"), PROTOCOLS), lambda pair: pair[0] == "pong"),
)
def test_the_single_env_sees_what_the_vector_environment_sees(name, protocol):
    recipe = load_env(name)
    n_steps, _ = compare(recipe.game, recipe.protocol[protocol], seed=11, n_steps=400)
    assert n_steps > 90


@pytest.mark.more
@pytest.mark.parametrize(
    ("change", "seed", "name"), covering(product(CHANGES, [3, 4], ["legacy", "mask_a3c"]))
)
def test_other_protocols(space_invaders, change, seed, name):
    protocol = space_invaders.protocol[name].model_copy(update=CHANGES[change])
    n_steps, end = compare(space_invaders.game, protocol, seed, n_steps=1000)
    if change.startswith("cut off"):
        assert (n_steps, end) == (math.ceil(protocol.max_frames / protocol.frame_skip), "cut off")
    else:
        assert end == "over"


def test_a_single_env_can_be_used_again(space_invaders):
    single_env = SingleEnv(space_invaders.game, space_invaders.protocol["legacy"])

    def play(seed):
        single_env.reset(seed)
        return np.stack([single_env.step(1).observation[-1] for _ in range(60)])

    first = play(1)
    assert not np.array_equal(play(2), first)
    assert np.array_equal(play(1), first)


def test_the_colour_frame_is_the_game_the_agent_sees(space_invaders):
    single_env = SingleEnv(space_invaders.game, space_invaders.protocol["legacy"])
    single_env.reset(1)
    step = single_env.step(0)
    assert single_env.frame.shape == (210, 160, 3)
    bright_rows = single_env.frame.any(axis=(1, 2)).nonzero()[0].mean() / 210
    seen_rows = step.observation[-1].any(axis=1).nonzero()[0].mean() / 84
    assert abs(bright_rows - seen_rows) < 0.02


def test_a_reseeded_game_goes_on_with_other_chance(space_invaders):
    """From the same place: with the same seed alike, with another one otherwise."""
    env = SingleEnv(space_invaders.game, space_invaders.protocol["machado2018"])
    env.reset(3)
    for action in range(20):
        env.step(action % 6)
    begin = env.state()

    def played(seed):
        env.restore(begin)
        env.reseed(seed)
        assert np.array_equal(env.frame, begin["frame"])
        return np.stack([env.step(2 + t % 2).observation for t in range(60)])

    first = played(1)
    assert np.array_equal(played(1), first)
    assert not np.array_equal(played(2), first)
