"""What training and evaluation ask of parallel games beside SB3's `VecEnv`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.seeds import derive_seeds


class SeededVecEnv(VecEnv):
    """Parallel games, each with a seed of its own, whose actions have names.

    A game that ends restarts in the same step. `info["episode"]` is set at the end of a whole game:
    raw return "r", length "l" in agent steps, and time "t" in seconds. A game that was cut off has
    `info["TimeLimit.truncated"]` and `info["terminal_observation"]`.
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
