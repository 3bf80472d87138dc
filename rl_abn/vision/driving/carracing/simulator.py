"""The car on its track: moved, put somewhere, looked at. Needs Box2D, and says so gently."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.controls import LOCK_RAD, Controls
from rl_abn.vision.driving.carracing.track import CentreLine, Pose, TrackPosition

if TYPE_CHECKING:
    from rl_abn.vision.driving.carracing.engine import Engine

FPS = 50
FRAME_SIZE = 96
SCREEN_SIZE = (400, 600)
"""Height and width of the picture for people: the same view."""
# The window's lowest eighth shows speed, wheels, steering angle and score: the answer, given away.
INDICATOR_ROWS = 12


class CarState(NamedTuple):
    """All that a privileged driver is told; a camera sees none of these numbers.

    Attributes:
        pose: Where the car is and where it points.
        position: Where that is as seen from the centre line.
        speed: In the simulator's units a second.
    """

    pose: Pose
    position: TrackPosition
    speed: float


class Outcome(NamedTuple):
    """What a step led to.

    Attributes:
        reward: The environment's.
        finished: Whether the lap is done.
        lost: Whether the car left the playing field.
    """

    reward: float
    finished: bool
    lost: bool


class Simulator:
    """A car on one track after another, at 50 steps a second.

    Attributes:
        line: The track's centre line.

    Raises:
        RlAbnError: If Box2D is not installed.

    Example:
        >>> simulator = Simulator()
        >>> simulator.begin(track=0)
        >>> outcome = simulator.step(Controls(steering=0.0, throttle=0.5, brake=0.0))
        >>> frame = simulator.frame()
    """

    def __init__(self) -> None:
        self._engine = _load_engine()
        self.line: CentreLine
        self._position: TrackPosition

    def begin(self, track: int) -> None:
        """Lays out a track, the one Gymnasium's `reset(seed=track)` does, the car at its start.

        Raises:
            RlAbnError: If there is no track of that number.
        """
        if track < 0:
            raise RlAbnError(f"expected the number of a track, 0 or more, got {track}")
        self._engine.reset(seed=track)
        self.line = CentreLine.of_track(self._engine.track)
        self._find(near=0.0)

    def step(self, controls: Controls) -> Outcome:
        """Drives on for 1/50 s."""
        action = np.array([controls.steering * LOCK_RAD, controls.throttle, controls.brake])
        _, reward, ended, _, info = self._engine.step(action)
        self._find(near=self._position.station)
        finished = bool(info.get("lap_finished", False))
        return Outcome(float(reward), finished, bool(ended) and not finished)

    def put(
        self, station: float, *, offset: float = 0.0, turned: float = 0.0, speed: float = 0.0
    ) -> None:
        """Puts the car somewhere by the road, rolling straight ahead.

        Args:
            station: How far along the centre line.
            offset: How far to its left.
            turned: How far the car is turned to the left of the road's direction, in radians.
            speed: In the simulator's units a second.
        """
        pose = self.line.pose(station, offset, turned)
        car = self._engine.car
        velocity = (-speed * math.sin(pose.heading), speed * math.cos(pose.heading))
        car.hull.transform = ((pose.x, pose.y), pose.heading)
        for wheel in car.wheels:
            wheel.transform = (wheel.joint.anchorA, pose.heading)  # where the hull holds it now
            wheel.omega = speed / wheel.wheel_rad
            wheel.gas = wheel.brake = wheel.steer = 0.0
        for body in (car.hull, *car.wheels):
            body.linearVelocity = velocity
            body.angularVelocity = 0.0
        self._find(near=station)

    @property
    def state(self) -> CarState:
        """The car as a privileged driver sees it."""
        hull = self._engine.car.hull
        pose = Pose(float(hull.position[0]), float(hull.position[1]), float(hull.angle))
        return CarState(pose, self._position, self.speed)

    @property
    def speed(self) -> float:
        """In the simulator's units a second, as its indicator shows it; never negative."""
        return float(self._engine.car.hull.linearVelocity.length)

    @property
    def completed(self) -> float:
        """The share of the track's tiles that a wheel has touched, 0..1."""
        return self._engine.tile_visited_count / len(self._engine.track)

    def frame(self) -> UInt8[np.ndarray, "96 96 3"]:
        """Draws what the camera sees, the rows of the indicators black: they tell the controls."""
        frame = np.ascontiguousarray(self._engine.picture("state_pixels"))
        frame[-INDICATOR_ROWS:] = 0
        return frame

    def screen(self) -> UInt8[np.ndarray, "400 600 3"]:
        """Draws the same view larger and with the indicators, for people."""
        return np.ascontiguousarray(self._engine.picture("rgb_array"))

    def _find(self, near: float) -> None:
        x, y = self._engine.car.hull.position
        self._position = self.line.locate(x, y, near=near)


def _load_engine() -> Engine:
    from gymnasium.error import DependencyNotInstalled

    try:
        from rl_abn.vision.driving.carracing.engine import Engine
    except (ImportError, DependencyNotInstalled):
        raise RlAbnError(
            "expected Box2D, which CarRacing drives on, got none: pip install 'rl-abn[driving]'"
        ) from None
    return Engine()
