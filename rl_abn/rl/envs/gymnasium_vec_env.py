"""Gymnasium's vector environments as a stable-baselines3 `VecEnv`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from rl_abn.recipes import GymnasiumRecipe, Preprocessing
from rl_abn.rl.envs.gymnasium_env import action_names, make_gymnasium_env
from rl_abn.rl.envs.seeded_vec_env import Episodes, SeededVecEnv
from rl_abn.seeds import derive_seeds


class GymnasiumVecEnv(SeededVecEnv):
    """Games of a Gymnasium environment, stepped in turn or each in a process of its own.

    Observations are [n_envs, C, H, W], uint8 or float32. Rewards are raw. Infos are as in
    `AleVecEnv`, but no life is ever lost.

    Args:
        recipe: Which environment.
        preprocessing: How it is played and observed.
        n_envs: Number of parallel games.
        seed: Seeds the games, as `seed()` does.

    Raises:
        RlAbnError: If the environment cannot be made, or has no pictures or no discrete actions.
    """

    def __init__(
        self,
        recipe: GymnasiumRecipe,
        preprocessing: Preprocessing,
        n_envs: int,
        *,
        seed: int = 0,
    ) -> None:
        # Made here first: a mistake is one line, from a process of its own it would be a traceback.
        one = make_gymnasium_env(recipe, preprocessing)
        space, actions = one.observation_space, one.action_space
        assert isinstance(space, spaces.Box)
        assert isinstance(actions, spaces.Discrete)
        self._first_action = int(actions.start)
        self._action_names = action_names(one)
        one.close()
        make = partial(make_gymnasium_env, recipe, preprocessing)
        self._envs: SyncVectorEnv | AsyncVectorEnv
        if recipe.processes == "async":
            self._envs = AsyncVectorEnv(
                [partial(_make_in_process, make)] * n_envs,
                context="forkserver",
                autoreset_mode=AutoresetMode.SAME_STEP,
            )
        else:
            self._envs = SyncVectorEnv([make] * n_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self.render_mode = None
        super().__init__(n_envs, space, spaces.Discrete(actions.n))
        self._game_seeds: list[int | None] | None = derive_seeds(seed, count=n_envs).tolist()
        self._episodes = Episodes(n_envs)
        self._actions: np.ndarray = np.zeros(n_envs, dtype=np.int64)

    @property
    def action_names(self) -> list[str]:
        """Names of the actions, by index."""
        return list(self._action_names)

    def seed_games(self, seeds: np.ndarray) -> Sequence[int]:
        """Seeds each game of the next reset, int32 [n_envs]."""
        given = [int(seed) for seed in seeds]
        self._game_seeds = [*given]
        return given

    def reset(self) -> np.ndarray:
        """Starts new games; without a new seed the environments' random state goes on."""
        observations, _ = self._envs.reset(seed=self._game_seeds)
        self._game_seeds = None
        self._episodes.restart()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return np.asarray(observations)

    def step_async(self, actions: np.ndarray) -> None:
        """Sends one action to each game, int [n_envs]; those of one process wait for the result."""
        self._actions = np.asarray(actions, dtype=np.int64) + self._first_action
        if isinstance(self._envs, AsyncVectorEnv):
            self._envs.step_async(self._actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Returns observations, raw rewards (float32), dones and infos, one per game."""
        if isinstance(self._envs, AsyncVectorEnv):
            stepped = self._envs.step_wait()
        else:
            stepped = self._envs.step(self._actions)
        observations, rewards, terminated, truncated, info = stepped
        self._episodes.add(rewards)
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            infos[i]["episode"] = self._episodes.end(int(i))
            if truncated[i] and not terminated[i]:
                infos[i]["TimeLimit.truncated"] = True
                infos[i]["terminal_observation"] = info["final_obs"][i]
        return np.asarray(observations), rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Closes the environments, and ends their processes."""
        self._envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of each indexed environment, or of this one if it has it."""
        chosen = list(self._get_indices(indices))
        if hasattr(self, attr_name):
            return [getattr(self, attr_name)] * len(chosen)
        values = self._envs.get_attr(attr_name)
        return [values[i] for i in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not supported: games of a training are alike."""
        raise NotImplementedError("set an environment's options in its recipe instead")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of all environments and returns what the indexed ones answer."""
        values = self._envs.call(method_name, *method_args, **method_kwargs)
        return [values[i] for i in self._get_indices(indices)]


def _make_in_process(make: Any) -> gymnasium.Env[np.ndarray, Any]:
    """Makes an environment in its own process, which leaves Ctrl-C to the training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    env: gymnasium.Env[np.ndarray, Any] = make()
    return env
