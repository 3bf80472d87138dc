"""A bank of game positions, on which agents and maps are compared without playing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rl_abn.rl.evaluation.players import Player

BANK_SIZE = 4096
"""Positions of a bank; a multiple of the games that are played for it."""
N_GAMES = 8


class StateBank(NamedTuple):
    """T steps of N games.

    Attributes:
        observations: [T, N, C, H, W], as the agent sees them.
        episode_starts: Where a game is at its first observation, bool [T, N].
    """

    observations: np.ndarray
    episode_starts: np.ndarray

    def chunks(self, n_steps: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields stretches of the games in order, on a device.

        Args:
            n_steps: L, steps of a stretch.
            device: Where to.

        Yields:
            Observations [L * N, C, H, W], all first steps first, and where games start, [L, N].
        """
        for first in range(0, len(self.observations), n_steps):
            observations = self.observations[first : first + n_steps]
            flat = observations.reshape(-1, *observations.shape[2:])
            starts = torch.as_tensor(self.episode_starts[first : first + n_steps], device=device)
            yield torch.as_tensor(flat, device=device), starts


def collect_bank(player: Player, env: VecEnv, n_steps: int = BANK_SIZE // N_GAMES) -> StateBank:
    """Lets a player play, and keeps what it saw.

    Args:
        player: Who plays; games are the player's own from their start.
        env: The games; they are started anew.
        n_steps: T, of each game.
    """
    observations: Any = env.reset()
    starts = np.ones(env.num_envs, dtype=bool)
    lost_life = np.zeros(env.num_envs, dtype=bool)
    seen = np.empty((n_steps, *observations.shape), observations.dtype)
    episode_starts = np.empty((n_steps, env.num_envs), dtype=bool)
    for t in range(n_steps):
        seen[t], episode_starts[t] = observations, starts
        actions, _ = player.act(observations, starts, lost_life)
        observations, _, dones, infos = env.step(actions)
        lost_life = np.array(["lost_life" in info for info in infos])
        starts = dones & ~lost_life
    return StateBank(seen, episode_starts)
