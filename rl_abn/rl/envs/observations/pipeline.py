"""The interface of an observation pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from gymnasium import spaces


class FrameSpec(NamedTuple):
    """The frames that a pipeline takes from the emulators.

    Attributes:
        height: In pixels.
        width: In pixels.
        colour: RGB instead of grey.
        stack: Number of steps whose frames are stacked.
    """

    height: int
    width: int
    colour: bool
    stack: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one game's frames: grey [stack, height, width], colour [stack, height, width, 3]."""
        return (self.stack, self.height, self.width, *((3,) if self.colour else ()))


class Pipeline(Protocol):
    """Turns the frames of N parallel games into observations; may keep state per game.

    Attributes:
        frame_spec: The frames it takes.
        space: Space of one observation.
    """

    frame_spec: FrameSpec
    space: spaces.Box

    def reset(self) -> None:
        """Drops the state of all games; called before they are seeded."""

    def observe(self, frames: np.ndarray, env_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Makes observations. Each frame is passed once, in the order of the game.

        Args:
            frames: Frames of n games, uint8 [n, *self.frame_spec.shape].
            env_indices: Which of the N games they come from, [n].

        Returns:
            [n, *self.space.shape].
        """

    def state(self, env: int) -> dict[str, np.ndarray]:
        """Returns what it remembers of a game, by name."""

    def restore(self, state: Mapping[str, np.ndarray], env: int) -> None:
        """Goes on with a game from what it remembered."""
