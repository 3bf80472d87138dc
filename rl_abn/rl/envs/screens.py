"""Colour screens of the games of `AleVecEnv`, which ALE's vector environment does not show."""

from __future__ import annotations

import numpy as np
from ale_py import Action, ALEInterface, roms

from rl_abn.recipes import Game, Protocol


class Screens:
    """Repeats each game on a plain emulator, which can be asked for its screen.

    That doubles the work of the emulators, so it is for videos and not for training.

    Args:
        game: Which game.
        protocol: How it is played.
        n_games: Number of games.
    """

    def __init__(self, game: Game, protocol: Protocol, n_games: int) -> None:
        rom = roms.get_rom_path(game.rom)
        assert rom is not None
        self._rom = rom
        self._protocol = protocol
        self._games = [ALEInterface() for _ in range(n_games)]
        self._frames_played = [0] * n_games
        for ale in self._games:
            ale.setFloat("repeat_action_probability", protocol.repeat_action_probability)
            ale.loadROM(rom)
        first = self._games[0]
        everything = protocol.full_action_space
        self._actions: list[Action] = list(
            first.getLegalActionSet() if everything else first.getMinimalActionSet()
        )

    def reset(self, i: int, n_frames: int, seed: int | None = None) -> None:
        """Starts a game.

        Args:
            i: Which one.
            n_frames: Frames of FIRE and no-ops at its start, as the vector environment reports.
            seed: The emulator's seed; None goes on with its random state.
        """
        ale = self._games[i]
        if seed is not None:
            ale.setInt("random_seed", seed)
            ale.loadROM(self._rom)
        ale.reset_game()
        fire = self._protocol.fire_reset and Action.FIRE in self._actions
        for frame in range(n_frames):
            ale.act(Action.FIRE if fire and frame == 0 else Action.NOOP)
        self._frames_played[i] = 0

    def step(self, i: int, action: int) -> None:
        """Repeats an action for `frame_skip` frames, or until the game ends."""
        ale = self._games[i]
        for _ in range(self._protocol.frame_skip):
            ale.act(self._actions[action])
            self._frames_played[i] += 1
            if ale.game_over() or self._frames_played[i] >= self._protocol.max_frames:
                break

    def images(self) -> list[np.ndarray]:
        """Returns the screens, uint8 RGB [height, width, 3] each; 210x160 in most games."""
        return [ale.getScreenRGB() for ale in self._games]
