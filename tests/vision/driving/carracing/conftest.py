"""A car that needs no Box2D: no slip, on a road that is a circle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_abn.vision.driving.carracing.controls import LOCK_RAD, Controls
from rl_abn.vision.driving.carracing.expert import WHEELBASE
from rl_abn.vision.driving.carracing.simulator import FPS, CarState, Outcome
from rl_abn.vision.driving.carracing.track import CentreLine, Pose

RADIUS = 60.0


def circle_of(radius: float, *, corners: int = 360, left: bool = True) -> CentreLine:
    """A circle around 0 that starts at (radius, 0), driven to the left or to the right."""
    angles = np.arange(corners) * 2 * np.pi / corners * (1 if left else -1)
    return CentreLine(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))


class CircleCar:
    """Has `Simulator`'s methods. Frames are all of one colour: the steps so far."""

    def __init__(self) -> None:
        self.line = circle_of(RADIUS)
        self.frames_drawn = 0

    def begin(self, track: int) -> None:
        self.track = track
        self.steps, self.reached = 0, 0.0
        self.put(0.0)

    def put(
        self, station: float, *, offset: float = 0.0, turned: float = 0.0, speed: float = 0.0
    ) -> None:
        self.pose, self.speed = self.line.pose(station, offset, turned), speed
        self.position = self.line.locate(self.pose.x, self.pose.y)

    def step(self, controls: Controls) -> Outcome:
        wheel = -controls.steering * LOCK_RAD
        x, y, heading = self.pose
        heading += self.speed * math.tan(wheel) / WHEELBASE / FPS
        x -= self.speed * math.sin(heading) / FPS
        y += self.speed * math.cos(heading) / FPS
        self.pose = Pose(x, y, heading)
        self.speed = max(self.speed + (60 * controls.throttle - 60 * controls.brake) / FPS, 0.0)
        self.position = self.line.locate(x, y)
        self.steps += 1
        before = self.completed
        if self.reached < self.position.station < self.reached + 10:
            self.reached = self.position.station
        finished = self.completed > 0.95
        lost = max(abs(x), abs(y)) > 333
        return Outcome(1000 * (self.completed - before) - 0.1, finished, lost)

    @property
    def state(self) -> CarState:
        return CarState(self.pose, self.position, self.speed)

    @property
    def completed(self) -> float:
        return self.reached / self.line.length

    def frame(self) -> np.ndarray:
        self.frames_drawn += 1
        return np.full((96, 96, 3), self.steps % 256, dtype=np.uint8)

    def screen(self) -> np.ndarray:
        return np.full((400, 600, 3), self.steps % 256, dtype=np.uint8)


@pytest.fixture
def circle_car() -> CircleCar:
    return CircleCar()


@pytest.fixture
def circle():
    return circle_of
