"""One grey crop, normalised by running statistics: Mask-A3C (Itaya et al., IJCNN 2021).

The steps and their order are those of the authors' code (github.com/
machine-perception-robotics-group/Mask-Attention_A3C), so that their published agents get the
observations they were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from gymnasium import spaces

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.pipeline import FrameSpec

DECAY = 0.9999
"""Decay of the running averages per frame."""
_SCREEN = (210, 160)
_TINY = 1e-8


class MaskA3CPipeline:
    """Turns colour frames into float32 [1, size, size] of about mean 0 and standard deviation 1.

    Each parallel environment has its own running statistics. They go on when a game ends and are
    reset only when the emulators are seeded. Each frame is counted once, including the last one of
    a game and the first one of the next.

    Args:
        protocol: How the games are played; it has a `crop`.
        n_envs: Number of parallel games.
    """

    def __init__(self, protocol: Protocol, n_envs: int) -> None:
        assert protocol.crop is not None
        self.crop = protocol.crop
        self.size = protocol.screen_size
        self.frame_spec = FrameSpec(*_SCREEN, colour=True, stack=1)
        self.space: spaces.Box = spaces.Box(-np.inf, np.inf, (1, self.size, self.size), np.float32)
        self._running = np.zeros((n_envs, 2), np.float64)
        self._n_seen = np.zeros(n_envs, np.int64)

    def reset(self) -> None:
        """Resets the running statistics of all games."""
        self._running[:] = 0.0
        self._n_seen[:] = 0

    def observe(self, frames: np.ndarray, env_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Crops, resizes and normalises frames, uint8 [n, 1, 210, 160, 3]."""
        observations = np.empty((len(frames), *self.space.shape), np.float32)
        for observation, frame, env in zip(observations, frames, env_indices, strict=True):
            grey = self.grey_crop(frame[0])
            mean, deviation = self._statistics(grey, env)
            observation[0] = (grey - mean) / deviation
        return observations

    def state(self, env: int) -> dict[str, np.ndarray]:
        """Returns a game's running statistics."""
        return {
            "running": self._running[env].copy(),
            "n_seen": np.array(self._n_seen[env], np.int64),
        }

    def restore(self, state: Mapping[str, np.ndarray], env: int) -> None:
        """Goes on with a game's running statistics."""
        self._running[env] = state["running"]
        self._n_seen[env] = state["n_seen"]

    def grey_crop(self, frame: np.ndarray) -> np.ndarray:
        """Crops and resizes a frame, uint8 [210, 160, 3], to grey float32 [size, size] in 0..1."""
        top, end = self.crop.rows
        red, green, blue = cv2.split(frame[top:end])
        # The mean of the channels, not the luma. OpenCV adds planes ten times as fast as numpy
        # sums the last axis. The sum of three bytes fits in 16 bits, and dividing it in float32
        # gives the same bytes as in float64.
        total = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_16U)
        grey = total.astype(np.float32) / 3 * np.float32(1 / 255)
        # Resized twice, as in their code: a single linear resize would sample other rows.
        squeezed = cv2.resize(grey, (self.size, self.crop.height))
        return np.asarray(cv2.resize(squeezed, (self.size, self.size)))

    def _statistics(self, grey: np.ndarray, env: int) -> np.ndarray:
        """Updates a game's statistics with an image; returns mean and deviation, float32 [2].

        Both are exponential moving averages over the images so far, without bias: divided by the
        sum of the weights, 1 - DECAY**n.
        """
        self._n_seen[env] += 1
        running = self._running[env]
        running *= DECAY
        running += (1 - DECAY) * np.array([grey.mean(), grey.std()], np.float64)
        unbiased: np.ndarray = running / (1 - DECAY ** int(self._n_seen[env]))
        unbiased[1] += _TINY
        return unbiased.astype(np.float32)
