"""Emulators without an agent: random actions drawn in advance, all games stepped together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.bench.sb3 import make_sb3_env
from rl_abn.bench.spec import Spec
from rl_abn.bench.stopwatch import Stopwatch
from rl_abn.errors import RlAbnError
from rl_abn.recipes import EnvRecipe, load_game
from rl_abn.rl.envs.ale_vec_env import AleVecEnv, make_ale
from rl_abn.seeds import derive_seeds

N_ENVS = 8
N_DRAWN = 1024

Step = Callable[[np.ndarray], Any]


def time_emulator(spec: Spec) -> Stopwatch:
    """Steps an emulator until the measurement is long enough."""
    recipe = load_game(spec.env)
    n_envs = spec.n_envs or N_ENVS
    threads = spec.emulator_threads or min(n_envs, os.cpu_count() or 1)
    step, n_actions = MAKERS[spec.kind](recipe, n_envs, threads, spec.seed)
    rng = np.random.default_rng(spec.seed)
    actions = rng.integers(n_actions, size=(N_DRAWN, n_envs), dtype=np.int64)
    stopwatch = Stopwatch(spec)
    done = 0
    while not stopwatch.boundary(done * n_envs):
        step(actions[done % N_DRAWN])
        done += 1
    return stopwatch


def _ale(recipe: EnvRecipe, n_envs: int, threads: int, seed: int) -> tuple[Step, int]:
    games = make_ale(
        recipe.game, recipe.protocol["legacy"], n_envs, life_loss_terminal=True, n_threads=threads
    )
    games.reset(seed=derive_seeds(seed, count=n_envs))
    return games.step, len(games.ale.get_action_set())


def _ale_vec_env(recipe: EnvRecipe, n_envs: int, threads: int, seed: int) -> tuple[Step, int]:
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs, seed=seed, n_threads=threads)
    return _reset(env)


def _sb3_vec_env(recipe: EnvRecipe, n_envs: int, threads: int, seed: int) -> tuple[Step, int]:
    return _reset(make_sb3_env(recipe.game, n_envs, seed))


def _envpool(recipe: EnvRecipe, n_envs: int, threads: int, seed: int) -> tuple[Step, int]:
    try:
        import envpool
    except ImportError as error:
        raise RlAbnError(f"EnvPool cannot be imported: {error}") from None
    protocol = recipe.protocol["legacy"]
    games = envpool.make_gymnasium(
        recipe.game.id.removeprefix("ALE/"),
        num_envs=n_envs,
        num_threads=threads,
        seed=seed,
        stack_num=protocol.frame_stack,
        frame_skip=protocol.frame_skip,
        noop_max=protocol.noop_max,
        use_fire_reset=protocol.fire_reset,
        episodic_life=protocol.life_loss_terminal,
        repeat_action_probability=protocol.repeat_action_probability,
        full_action_space=protocol.full_action_space,
        max_episode_steps=protocol.max_frames // protocol.frame_skip,
        img_height=protocol.screen_size,
        img_width=protocol.screen_size,
        reward_clip=False,
    )
    games.reset()
    return games.step, int(games.action_space.n)


def _reset(env: VecEnv) -> tuple[Step, int]:
    env.reset()
    return env.step, int(env.action_space.n)  # type: ignore[attr-defined]


MAKERS: dict[str, Callable[[EnvRecipe, int, int, int], tuple[Step, int]]] = {
    "ale": _ale,
    "ale_vec_env": _ale_vec_env,
    "envpool": _envpool,
    "sb3_vec_env": _sb3_vec_env,
}
