"""What training and evaluation ask of parallel games beside SB3's `VecEnv`."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.seeds import derive_seeds


class SeededVecEnv(VecEnv):
    """Parallel games, each with a seed of its own, whose actions have names.

    A game that ends restarts in the same step. `info["episode"]` is set at the end of a whole game:
    raw return "r", length "l" in agent steps, and time "t" in seconds. A game that was cut off has
    `info["TimeLimit.truncated"]` and `info["terminal_observation"]`.

    To stable-baselines3 the games are wrapped in a `Monitor`: its `evaluate_policy` and
    `EvalCallback` then count whole games, by `info["episode"]`, and not lives.
    """

    @property
    @abstractmethod
    def action_names(self) -> list[str]:
        """Names of the actions, by index."""

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; None takes a random seed."""
        entropy = np.random.SeedSequence().entropy if seed is None else seed
        assert isinstance(entropy, int)
        return self.seed_games(derive_seeds(entropy, count=self.num_envs))

    @abstractmethod
    def seed_games(self, seeds: np.ndarray) -> Sequence[int]:
        """Seeds each game of the next reset, int32 [n_envs]."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of this environment, repeated for each index."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not supported: the games are not separate Python objects."""
        raise NotImplementedError(
            f"{type(self).__name__}'s games have no attributes of their own to set"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Not supported: the games are not separate Python objects."""
        raise NotImplementedError(
            f"{type(self).__name__}'s games have no method '{method_name}' of their own"
        )

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Returns True for SB3's `Monitor`, whose `info["episode"]` there is, else False."""
        wrapped = issubclass(Monitor, wrapper_class)
        return [wrapped for _ in self._get_indices(indices)]


class Episodes:
    """Returns and lengths of the games in play, as SB3's `Monitor` has them.

    Args:
        n_envs: Number of games.
    """

    def __init__(self, n_envs: int) -> None:
        self._started = time.monotonic()
        self._returns = np.zeros(n_envs, dtype=np.float64)
        self._lengths = np.zeros(n_envs, dtype=np.int64)

    def restart(self) -> None:
        """Begins new games everywhere."""
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def add(self, rewards: np.ndarray) -> None:
        """Takes the raw rewards of a step, [n_envs]."""
        self._returns += rewards
        self._lengths += 1

    def end(self, i: int) -> dict[str, Any]:
        """Returns `info["episode"]` of a game that has ended, and begins the next."""
        episode = {
            "r": float(self._returns[i]),
            "l": int(self._lengths[i]),
            "t": round(time.monotonic() - self._started, 6),
        }
        self._returns[i] = 0.0
        self._lengths[i] = 0
        return episode
