"""A bank of game positions, on which agents and maps are compared without playing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rl_abn.rl.evaluation.episodes import play
from rl_abn.rl.evaluation.players import Player, WrappedPlayer
from rl_abn.rl.policies.outputs import PolicyOutput

BANK_SIZE = 4096
"""Positions of a bank; a multiple of the games that are played for it."""
N_GAMES = 8


class StateBank(NamedTuple):
    """T steps of N games.

    Attributes:
        observations: [T, N, C, H, W], as the agent sees them.
        episode_starts: Where a game is at its first observation, bool [T, N].
        lost_lives: Where a life was lost just before it and the game goes on, bool [T, N]; None is
            nowhere.
    """

    observations: np.ndarray
    episode_starts: np.ndarray
    lost_lives: np.ndarray | None = None

    def forgets(self, forget_at: str) -> np.ndarray:
        """Returns where an agent's memory is emptied before it sees the observation, bool [T, N].

        Args:
            forget_at: At the end of a "game", or at every lost "life" too.
        """
        if forget_at == "game" or self.lost_lives is None:
            return self.episode_starts
        either: np.ndarray = self.episode_starts | self.lost_lives
        return either

    def chunks(
        self, n_steps: int, device: torch.device, forget_at: str = "game"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields stretches of the games in order, on a device.

        Args:
            n_steps: L, steps of a stretch.
            device: Where to.
            forget_at: As in `forgets`.

        Yields:
            Observations [L * N, C, H, W], all first steps first, and where memory is emptied before
            them, bool [L, N].
        """
        forgets = self.forgets(forget_at)
        for first in range(0, len(self.observations), n_steps):
            observations = self.observations[first : first + n_steps]
            flat = observations.reshape(-1, *observations.shape[2:])
            emptied = torch.as_tensor(forgets[first : first + n_steps], device=device)
            yield torch.as_tensor(flat, device=device), emptied


class RecordingPlayer(WrappedPlayer):
    """A player that keeps what it sees of its first games, as a bank.

    Args:
        player: Who plays.
        n_games: Of how many games side by side.
        n_steps: How many steps at most.
    """

    def __init__(
        self, player: Player, n_games: int = N_GAMES, n_steps: int = BANK_SIZE // N_GAMES
    ) -> None:
        super().__init__(player)
        self._n_games, self._n_steps = n_games, n_steps
        self._seen: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []
        self._lost: list[np.ndarray] = []

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Lets the player act."""
        if len(self._seen) < self._n_steps:
            self._seen.append(observations[: self._n_games].copy())
            starts = episode_start[: self._n_games].copy()
            self._starts.append(starts)
            lost = np.zeros_like(starts) if lost_life is None else lost_life[: self._n_games].copy()
            self._lost.append(lost)
        return super().act(observations, episode_start, lost_life)

    def bank(self) -> StateBank:
        """Returns what was seen."""
        return StateBank(np.stack(self._seen), np.stack(self._starts), np.stack(self._lost))


def collect_bank(player: Player, env: VecEnv, n_steps: int = BANK_SIZE // N_GAMES) -> StateBank:
    """Lets a player play, and keeps what it saw.

    Args:
        player: Who plays; games are the player's own from their start.
        env: The games; they are started anew.
        n_steps: T, of each game.
    """
    recorder = RecordingPlayer(player, env.num_envs, n_steps)
    for _ in islice(play(recorder, env), n_steps):
        pass
    return recorder.bank()
