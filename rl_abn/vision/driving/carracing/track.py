"""A race track's centre line: where the road runs, how it bends, how far from it a car is.

Headings are CarRacing's angles: 0 points along +y and left is positive, so a heading h points along
(-sin h, cos h). Lengths are in the simulator's units; the road is 13.3 of them wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float

HALF_ROAD = 40 / 6

# The road's direction is that between two points this far before and behind: a tile's length apart.
_HALF_TILE = 1.75
# Its curvature is the change between the headings this far before and behind. A track is a chain of
# straight tiles, so over less than two of them it would jump between 0 and a corner.
_HALF_BEND = 5.25


class Pose(NamedTuple):
    """Where a car is and where it points.

    Attributes:
        x: In the simulator's units.
        y: In the simulator's units.
        heading: In radians, left positive; 0 points along +y.
    """

    x: float
    y: float
    heading: float


class TrackPosition(NamedTuple):
    """A position as seen from the centre line.

    Attributes:
        station: Distance along the line of its nearest point, 0..length.
        offset: Distance from the line, positive to its left.
    """

    station: float
    offset: float


class CentreLine:
    """The closed line down the middle of a road.

    Args:
        points: Its corners in driving order, without the first again at the end, [N, 2].

    Attributes:
        length: Of the whole lap.
    """

    def __init__(self, points: Float[np.ndarray, "n 2"]) -> None:
        closed = np.concatenate([points, points[:1]])
        steps = np.diff(closed, axis=0)
        self._lengths = np.hypot(steps[:, 0], steps[:, 1])
        self._directions = steps / self._lengths[:, None]
        self._stations = np.concatenate([[0.0], np.cumsum(self._lengths)])
        self._closed = closed
        self.length = float(self._stations[-1])

    @classmethod
    def of_track(cls, track: Sequence[tuple[float, float, float, float]]) -> Self:
        """Reads CarRacing's `track`: one (alpha, beta, x, y) a tile."""
        return cls(np.array([(x, y) for _, _, x, y in track]))

    def at(self, station: Float[np.ndarray, " k"] | float) -> Float[np.ndarray, "*k 2"]:
        """Returns the points so far along the line; it is a ring, so any number will do."""
        along = np.asarray(station) % self.length
        x, y = (np.interp(along, self._stations, self._closed[:, axis]) for axis in (0, 1))
        return np.stack([x, y], axis=-1)

    def heading(self, station: Float[np.ndarray, " k"] | float) -> Float[np.ndarray, "*k"]:
        """Returns where the road points there, in -π..π."""
        station = np.asarray(station)
        ahead = self.at(station + _HALF_TILE) - self.at(station - _HALF_TILE)
        heading: np.ndarray = np.arctan2(-ahead[..., 0], ahead[..., 1])
        return heading

    def curvature(self, station: Float[np.ndarray, " k"] | float) -> Float[np.ndarray, "*k"]:
        """Returns one over the bend's radius there, positive where the road turns left."""
        station = np.asarray(station)
        change = self.heading(station + _HALF_BEND) - self.heading(station - _HALF_BEND)
        wrapped: np.ndarray = (change + np.pi) % (2 * np.pi) - np.pi
        return wrapped / (2 * _HALF_BEND)

    def locate(
        self, x: float, y: float, *, near: float | None = None, reach: float = 15.0
    ) -> TrackPosition:
        """Finds the line's nearest point to a position.

        Args:
            x: In the simulator's units.
            y: In the simulator's units.
            near: The station around which to look. Parts of a track can lie side by side, and a
                car is on the one it came along. None looks everywhere.
            reach: How far to look from there, either way along the line.
        """
        here = np.array([x, y]) - self._closed[:-1]
        along = np.clip((here * self._directions).sum(axis=1), 0.0, self._lengths)
        across = here - along[:, None] * self._directions
        distances = np.hypot(across[:, 0], across[:, 1])
        if near is not None:
            away = np.abs(self._stations[:-1] + along - near % self.length)
            distances[np.minimum(away, self.length - away) > reach] = np.inf
        i = int(np.argmin(distances))
        dx, dy = self._directions[i]
        left = dx * across[i, 1] - dy * across[i, 0]
        station = float(self._stations[i] + along[i]) % self.length
        return TrackPosition(station, float(np.copysign(distances[i], left)))

    def pose(self, station: float, offset: float = 0.0, turned: float = 0.0) -> Pose:
        """Returns a pose beside the line.

        Args:
            station: How far along.
            offset: How far to the left of the line.
            turned: How far the car is turned to the left of the road's direction, in radians.
        """
        x, y = self.at(station)
        heading = float(self.heading(station))
        left = np.array([-np.cos(heading), -np.sin(heading)])
        return Pose(float(x + offset * left[0]), float(y + offset * left[1]), heading + turned)
