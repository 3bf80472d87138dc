"""What every observation pipeline offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from gymnasium import spaces


class Screens(NamedTuple):
    """What the emulators are asked for.

    Attributes:
        height: In pixels.
        width: In pixels.
        colour: RGB instead of grey.
        stack: Screens of this many steps at once.
    """

    height: int
    width: int
    colour: bool
    stack: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a game's screens: [stack, height, width], colour [stack, height, width, 3]."""
        return (self.stack, self.height, self.width, *((3,) if self.colour else ()))


class Pipeline(Protocol):
    """Makes observations of the screens of N games, and remembers what it needs of each game.

    Attributes:
        screens: What the emulators are asked for.
        space: What one observation is.
    """

    screens: Screens
    space: spaces.Box

    def forget(self) -> None:
        """Forgets what it remembers of all games: they are about to be seeded anew."""

    def look(self, screens: np.ndarray, games: Sequence[int] | np.ndarray) -> np.ndarray:
        """Makes observations, each screen once and in the order in which a game shows them.

        Args:
            screens: Of n games, uint8 [n, *self.screens.shape].
            games: Which games they are, n numbers below N.

        Returns:
            [n, *self.space.shape].
        """
