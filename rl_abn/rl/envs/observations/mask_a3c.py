"""One grey crop, normalised by running statistics: Mask-A3C (Itaya et al., IJCNN 2021).

The steps and their order are those of the authors' code (github.com/
machine-perception-robotics-group/Mask-Attention_A3C), so that their agents see what they saw.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from gymnasium import spaces

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.pipeline import Screens

DECAY = 0.9999
"""How much of a running average is left after a screen."""
_SCREEN = (210, 160)
_TINY = 1e-8


class MaskA3CPipeline:
    """Colour screens in, float32 [1, size, size] out, about mean 0 and deviation 1.

    The statistics are a game's own. They belong to the emulator and not to one game played on it:
    they begin anew when the emulators are seeded, and go on when a game ends. Every screen counts
    once, the last one of a game and the first one of the next included.

    Args:
        protocol: How the games are played; it has a `crop`.
        n_games: How many.
    """

    def __init__(self, protocol: Protocol, n_games: int) -> None:
        assert protocol.crop is not None
        self.crop = protocol.crop
        self.size = protocol.screen_size
        self.screens = Screens(*_SCREEN, colour=True, stack=1)
        self.space: spaces.Box = spaces.Box(-np.inf, np.inf, (1, self.size, self.size), np.float32)
        self._running = np.zeros((n_games, 2), np.float64)
        self._n_seen = np.zeros(n_games, np.int64)

    def forget(self) -> None:
        """Begins the statistics of all games anew."""
        self._running[:] = 0.0
        self._n_seen[:] = 0

    def look(self, screens: np.ndarray, games: Sequence[int] | np.ndarray) -> np.ndarray:
        """Crops, resizes and normalises screens uint8 [n, 1, 210, 160, 3]."""
        observations = np.empty((len(screens), *self.space.shape), np.float32)
        for observation, screen, game in zip(observations, screens, games, strict=True):
            grey = self.picture(screen[0])
            mean, deviation = self._statistics(grey, game)
            observation[0] = (grey - mean) / deviation
        return observations

    def picture(self, screen: np.ndarray) -> np.ndarray:
        """Returns the crop of a screen, uint8 [210, 160, 3], as float32 [size, size] in 0..1."""
        top, end = self.crop.rows
        red, green, blue = cv2.split(screen[top:end])
        # The mean of the channels, not the luma. OpenCV adds planes ten times as fast as numpy
        # sums the last axis; three bytes fit in 16 bits, and float32 divides that as exactly as
        # float64 does once rounded.
        total = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_16U)
        grey = total.astype(np.float32) / 3 * np.float32(1 / 255)
        # Twice, because they did: linear interpolation skips rows, and others if it is done once.
        squeezed = cv2.resize(grey, (self.size, self.crop.height))
        return np.asarray(cv2.resize(squeezed, (self.size, self.size)))

    def _statistics(self, grey: np.ndarray, game: int) -> np.ndarray:
        """Counts a picture; returns the mean and deviation to normalise it by, float32 [2].

        Both are averages over the pictures so far, later ones heavier, and unbiased: divided by
        the sum of the weights, 1 - DECAY**n.
        """
        self._n_seen[game] += 1
        running = self._running[game]
        running *= DECAY
        running += (1 - DECAY) * np.array([grey.mean(), grey.std()], np.float64)
        unbiased: np.ndarray = running / (1 - DECAY ** int(self._n_seen[game]))
        unbiased[1] += _TINY
        return unbiased.astype(np.float32)
