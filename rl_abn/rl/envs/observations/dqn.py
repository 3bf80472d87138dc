"""Stacked grey frames of Mnih et al. (Nature, 2015), as ALE makes them itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from gymnasium import spaces

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.pipeline import FrameSpec


class DqnPipeline:
    """Returns the frames unchanged: uint8 [stack, size, size], the whole screen resized."""

    def __init__(self, protocol: Protocol, n_envs: int) -> None:
        size = protocol.screen_size
        self.frame_spec = FrameSpec(size, size, colour=False, stack=protocol.frame_stack)
        self.space: spaces.Box = spaces.Box(0, 255, self.frame_spec.shape, np.uint8)

    def reset(self) -> None:
        """Does nothing: no state is kept."""

    def observe(self, frames: np.ndarray, env_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the frames."""
        return frames

    def state(self, env: int) -> dict[str, np.ndarray]:
        """Returns nothing: no state is kept."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray], env: int) -> None:
        """Does nothing."""
