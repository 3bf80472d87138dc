"""Frames of a game's screens as ALE's vector environment makes them, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from rl_abn.rl.envs.observations import FrameSpec


class Frames:
    """The last frames of a game, pooled, resized and stacked.

    The frame on which a step ends early (game over or frame cap) is not used; earlier frames are
    pooled instead. That was found by comparing bytes.

    Args:
        screen: Returns the present screen: RGB [height, width, 3] where the spec is of colour, or
            else grey [height, width].
        spec: The frames to make.
        max_pool: Whether a frame is the maximum of a step's last two screens.
    """

    def __init__(
        self, screen: Callable[[], np.ndarray], spec: FrameSpec, *, max_pool: bool
    ) -> None:
        self._screen = screen
        self._max_pool = max_pool
        self._stack = np.zeros(spec.shape, np.uint8)
        self._pair = np.zeros((2, *self._screen().shape), np.uint8)

    def restart(self) -> np.ndarray:
        """Starts with a game, at its first screen; returns what `step` does."""
        self._stack[:] = 0
        self._pair[1] = 0
        self._pair[0] = self._screen()
        return self.step()

    def keep(self, left: int) -> None:
        """Takes the present screen where it is one of the last two of a step.

        Args:
            left: How many frames of the step there were to play before it.
        """
        if left <= 2:
            self._pair[left - 1] = self._screen()

    def step(self) -> np.ndarray:
        """Adds a step's frame; returns the frames, uint8 of the spec's shape, an array of its own.

        A colour stack is [stack, height, width, 3], a grey one [stack, height, width].
        """
        if self._max_pool:
            # In place, as ALE does: a step that ends early pools the frames of the step before.
            np.maximum(self._pair[0], self._pair[1], out=self._pair[0])
        height, width = self._stack.shape[1:3]
        self._stack[:-1] = self._stack[1:].copy()
        self._stack[-1] = cv2.resize(self._pair[0], (width, height), interpolation=cv2.INTER_AREA)
        return self._stack.copy()

    def state(self) -> dict[str, np.ndarray]:
        """Returns what the next frames depend on."""
        return {"stack": self._stack.copy(), "pair": self._pair.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on from a state; the arrays are of this object's shapes."""
        self._stack[:] = state["stack"]
        self._pair[:] = state["pair"]
