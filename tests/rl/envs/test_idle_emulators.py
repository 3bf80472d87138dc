"""Emulators that are left to the next who wants such games."""

import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest

from rl_abn.recipes import load_env
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.idle_emulators import IdleEmulators
from tests.complaints import complaint

RECIPE = load_env("space_invaders")


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Nothing is idle before a test, and what it leaves goes with it."""
    own = IdleEmulators()
    monkeypatch.setattr("rl_abn.rl.envs.ale_vec_env.IDLE", own)
    return own


def make(n_envs=2, seed=0, protocol="legacy", **kwargs):
    return AleVecEnv(RECIPE.game, RECIPE.protocol[protocol], n_envs, seed=seed, **kwargs)


def played(env, steps=30):
    rng, seen = np.random.default_rng(0), [env.reset().copy()]
    for _ in range(steps):
        seen.append(env.step(rng.integers(6, size=env.num_envs))[0].copy())
    return np.stack(seen)


def test_games_on_emulators_that_others_played_on_are_the_same(kept):
    with closing(make(seed=5)) as env:
        first, emulators = played(env), env.ale_env
    with closing(make(seed=6)) as env:
        assert env.ale_env is emulators
        assert not np.array_equal(played(env, 80)[:31], first)
    with closing(make(seed=5)) as env:
        assert env.ale_env is emulators
        assert np.array_equal(played(env), first)


@pytest.mark.more
def test_other_games_get_others(kept):
    with closing(make()) as env:
        emulators = env.ale_env
    others = [
        make(n_envs=3),
        make(protocol="machado2018"),
        make(life_loss_terminal=False),
        make(n_threads=1),
    ]
    assert all(other.ale_env is not emulators for other in others)
    assert make().ale_env is emulators
    assert make().ale_env is not emulators  # nobody shares


def test_an_environment_that_is_closed_is_at_its_end(kept):
    env = make()
    env.reset()
    env.close()
    env.close()
    said = complaint(env.reset)
    assert said == "expected an open environment, got one that was closed"
    assert env.action_names[0] == "NOOP"


def test_emulators_in_the_middle_of_a_step_are_not_kept(kept):
    env = make()
    env.reset()
    emulators = env.ale_env
    env.step_async(np.zeros(2, int))
    env.close()
    assert make().ale_env is not emulators


def test_emulators_that_give_way_are_kept_for_those_that_do(kept):
    def in_thread():
        from rl_abn.compute.background_threads import in_background

        return in_background(make)

    with closing(PartitionedVecEnv([in_thread()])) as env:
        emulators = env.parts[0].env.ale_env
    front, behind = make(), in_thread()
    assert front.ale_env is not emulators
    assert behind.ale_env is emulators


def test_the_oldest_make_room():
    idle = IdleEmulators(most_games=4)
    envs = [SimpleNamespace(num_envs=2) for _ in range(3)]
    for i, env in enumerate(envs):
        idle.keep(i, env)
    assert idle.take(0) is None
    assert idle.take(2) is envs[2]
    assert idle.take(2) is None
    idle.keep(3, SimpleNamespace(num_envs=5))
    assert idle.take(3) is None
    assert idle.take(1) is None
    idle.keep(4, envs[0])
    idle.clear()
    assert idle.take(4) is None


@pytest.mark.more
def test_nothing_is_said_at_the_end_of_a_process_that_leaves_some():
    code = """
from rl_abn.recipes import load_env
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
recipe = load_env("pong")
env = AleVecEnv(recipe.game, recipe.protocol["legacy"], 1)
env.reset()
env.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stderr == ""
