"""How the simulated world looks: as the simulator draws it, or restyled, a second domain.

A look changes pictures alone: track, car and physics are the same, so what a driver loses in
another look it loses by what it sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError, did_you_mean

Picture: TypeAlias = UInt8[np.ndarray, "_height _width 3"]
Look: TypeAlias = Callable[[Picture, int, int], Picture]
"""From a picture, its track and the steps before it to the picture as it looks.

Black stays black, as the rows do that are hidden from drivers. The same arguments give the same
bytes."""

PLAIN = "plain"

# Red, green and blue of the result by those of the simulator: green grass becomes sand, grey road
# dark blue, the red car nearly black.
_COLOURS = np.array(
    [[-0.35, 1.05, -0.10], [-0.20, 0.70, 0.10], [0.30, 0.00, 0.45]], dtype=np.float32
)
_SHADE = 0.35  # how much darker the far side of the picture is
_FLICKER = 0.15  # relative, of the light over time
_FLICKER_STEPS = 200  # of which 50 are a second
_NOISE = 8.0  # deviation of the camera's noise, of 255
_LIGHT, _GRAIN = 1, 2  # keep the seeds of one purpose apart from those of the other


def plain(picture: Picture, track: int, step: int) -> Picture:
    """Returns the picture as the simulator draws it."""
    return picture


def restyled(picture: Picture, track: int, step: int) -> Picture:
    """Returns the picture in other colours, in light from one side that changes, and with noise."""
    shown = picture.astype(np.float32) @ _COLOURS.T * _light(picture.shape[:2], track, step)
    shown += np.random.default_rng([_GRAIN, track, step]).normal(0.0, _NOISE, shown.shape)
    shown[~picture.any(axis=2)] = 0.0
    return np.asarray(np.rint(shown.clip(0, 255)), np.uint8)


LOOKS: dict[str, Look] = {PLAIN: plain, "restyled": restyled}


def look_named(name: str) -> Look:
    """Returns the look of a name.

    Raises:
        RlAbnError: If there is none.
    """
    if name not in LOOKS:
        raise RlAbnError(f"unknown look '{name}': {did_you_mean(name, LOOKS)}")
    return LOOKS[name]


def _light(size: tuple[int, int], track: int, step: int) -> np.ndarray:
    """Returns the light on each pixel, float32 [height, width, 1]; its side is the track's."""
    angle, phase = np.random.default_rng([_LIGHT, track]).uniform(0.0, 2 * math.pi, 2)
    rows, columns = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in size)
    along = math.sin(angle) * rows[:, None] + math.cos(angle) * columns
    now = 1.0 + _FLICKER * math.sin(2 * math.pi * step / _FLICKER_STEPS + phase)
    light: np.ndarray = now * (1.0 - _SHADE * (0.5 + along))
    return light[:, :, None].astype(np.float32)
