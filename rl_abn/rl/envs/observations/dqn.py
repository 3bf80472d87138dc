"""Stacked grey screens, as of Mnih et al. (Nature, 2015); ALE makes them itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.pipeline import Screens


class DqnPipeline:
    """Leaves the screens as they come: uint8 [stack, size, size], the whole screen squashed."""

    def __init__(self, protocol: Protocol, n_games: int) -> None:
        size = protocol.screen_size
        self.screens = Screens(size, size, colour=False, stack=protocol.frame_stack)
        self.space: spaces.Box = spaces.Box(0, 255, self.screens.shape, np.uint8)

    def forget(self) -> None:
        """Nothing is remembered."""

    def look(self, screens: np.ndarray, games: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the screens."""
        return screens
