"""Colour screens of the games of `AleVecEnv`, which ALE's vector environment does not show."""

from __future__ import annotations

import numpy as np

from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.emulator import Emulator


class Screens:
    """Repeats each game on a plain emulator, which can be asked for its screen.

    That doubles the work of the emulators, so it is for videos and not for training.

    Args:
        game: Which game.
        protocol: How it is played.
        n_games: Number of games.
    """

    def __init__(self, game: Game, protocol: Protocol, n_games: int) -> None:
        self._games = [Emulator(game, protocol) for _ in range(n_games)]

    def reset(self, i: int, n_frames: int, seed: int | None = None) -> None:
        """Starts game i; the other arguments are those of `Emulator.reset`."""
        self._games[i].reset(n_frames, seed)

    def step(self, i: int, action: int) -> None:
        """Repeats an action in game i."""
        self._games[i].step(action)

    def images(self) -> list[np.ndarray]:
        """Returns the screens, uint8 RGB [height, width, 3] each; 210x160 in most games."""
        return [game.ale.getScreenRGB() for game in self._games]
