"""A plain emulator that repeats a game of ALE's vector environment and can show its screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from ale_py import Action, ALEInterface, ALEState, roms

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.recipes import Game, Protocol

FRAMES_PER_SECOND = 60


class Emulator:
    """One game, frame by frame as the vector environment plays it for the same seed and actions.

    At a reset FIRE comes before the no-ops, and the frame cap counts from the end of the no-ops.

    Args:
        game: Which game.
        protocol: How it is played.

    Attributes:
        ale: The emulator.
        actions: Its actions, by index.
    """

    def __init__(self, game: Game, protocol: Protocol) -> None:
        rom = roms.get_rom_path(game.rom)
        assert rom is not None
        self._rom = rom
        self._protocol = protocol
        self._frames_played = 0
        self.ale = ALEInterface()
        self.ale.setFloat("repeat_action_probability", protocol.repeat_action_probability)
        self.ale.loadROM(rom)
        everything = protocol.full_action_space
        self.actions: list[Action] = list(
            self.ale.getLegalActionSet() if everything else self.ale.getMinimalActionSet()
        )

    @property
    def is_over(self) -> bool:
        """Whether the game is over."""
        return bool(self.ale.game_over())

    @property
    def is_cut(self) -> bool:
        """Whether the frame cap has cut the game off."""
        return not self.is_over and self._frames_played >= self._protocol.max_frames

    def screen_in(self, *, colour: bool) -> Callable[[], np.ndarray]:
        """Returns what returns the screen: RGB uint8 [height, width, 3], or grey."""
        screen: Callable[[], np.ndarray] = (
            self.ale.getScreenRGB if colour else self.ale.getScreenGrayscale
        )
        return screen

    def reset(self, n_frames: int, seed: int | None = None) -> None:
        """Starts a game.

        Args:
            n_frames: Frames of FIRE and no-ops at its start, which ALE draws internally and the
                vector environment reports.
            seed: The emulator's seed; None goes on with its random state.
        """
        if seed is not None:
            self.ale.setInt("random_seed", seed)
            self.ale.loadROM(self._rom)
        self.ale.reset_game()
        fire = self._protocol.fire_reset and Action.FIRE in self.actions
        for i in range(n_frames):
            self.ale.act(Action.FIRE if fire and i == 0 else Action.NOOP)
        self._frames_played = 0

    def step(self, action: int, on_frame: Callable[[int], None] | None = None) -> float:
        """Repeats an action for `frame_skip` frames, or until the game ends.

        Args:
            action: Index of the action.
            on_frame: Called after every frame but one that ends the game, with how many frames
                there were to play before it.

        Returns:
            The raw reward.
        """
        reward = 0.0
        for left in range(self._protocol.frame_skip, 0, -1):
            reward += self.ale.act(self.actions[action])
            self._frames_played += 1
            if self.is_over or self.is_cut:
                break
            if on_frame is not None:
                on_frame(left)
        return reward

    def state(self) -> dict[str, np.ndarray]:
        """Returns what it takes to go on from here exactly: the machine and its random state."""
        machine = self.ale.cloneState(include_rng=True).serialize()
        return {
            "emulator": np.frombuffer(machine, np.uint8),
            "frames_played": np.array(self._frames_played, np.int64),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on from a state; the screen is the old one until the next frame.

        Raises:
            RlAbnError: If it is no state of this game.
        """
        try:
            self.ale.restoreState(ALEState(state["emulator"].tobytes()))
        except (RuntimeError, ValueError, SystemError) as error:
            raise RlAbnError(f"expected an emulator's state, got {brief(error)}") from None
        self._frames_played = int(state["frames_played"])

    def reseed(self, seed: int) -> None:
        """Draws what the game leaves to chance anew from here on, such as sticky actions.

        The game itself stays as it is; the screen is the old one until the next frame.
        """
        machine = self.ale.cloneState(include_rng=False)
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(self._rom)  # a seed counts from here alone
        self.ale.restoreState(machine)
