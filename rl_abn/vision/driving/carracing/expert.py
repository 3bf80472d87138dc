"""A driver that knows the track: its drives are the lessons, and the mark to be measured by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rl_abn.vision.driving.carracing.controls import HARDEST_BRAKE, LOCK_RAD, Controls
from rl_abn.vision.driving.carracing.simulator import CarState
from rl_abn.vision.driving.carracing.track import CentreLine, Pose

WHEELBASE = 3.24
_STRAIGHT = 1e-4  # a curvature no track notices
_LOST_RAD = 1.2  # pointing so far away from where it is going, a car has to be slow
_SLOWEST = 15.0
# Slower than this it steers less and pushes more: wheels that don't roll steer nothing, and with
# one action at a time it would turn them for ever.
_ROLLS = 10.0
_LEAST_TURN = 0.1
_THROTTLE_PER_SPEED = 0.1
_BRAKE_PER_SPEED = 0.05
_LEAST_PUSH = 0.1


@dataclass(frozen=True)
class Expert:
    """Steers by pure pursuit (Coulter, CMU-RI-TR-92-01), at the speed that the bends ahead allow.

    It is privileged: it reads the car's exact pose and the centre line out of the simulator. So it
    knows as numbers where the middle of the road is, how far off it the car is and how sharp every
    bend is, also behind the car and beside what the window shows. A camera driver has one picture
    and the speed. It can be imitated because it looks no further ahead than `sight`, and a picture
    shows 37 units of what lies straight ahead.

    Attributes:
        top_speed: On a straight, in the simulator's units a second.
        grip: How fast it goes round a bend: the sideways acceleration, in units/s². The tyres hold
            about 220.
        braking: The deceleration it counts on before a bend, in units/s².
        sight: How far ahead it looks for bends, in units.
        look_ahead_s: It steers towards the point of the centre line this many seconds ahead.
        shortest_look_ahead: That point is never nearer than this, in units.
    """

    top_speed: float = 75.0
    grip: float = 150.0
    braking: float = 60.0
    sight: float = 30.0
    look_ahead_s: float = 0.3
    shortest_look_ahead: float = 6.0

    def answer(self, car: CarState, line: CentreLine) -> Controls:
        """Says what it would do, wherever the car is."""
        ahead = max(self.shortest_look_ahead, self.look_ahead_s * car.speed)
        x, y = line.at(car.position.station + ahead)
        distance, bearing = distance_and_bearing(car.pose, float(x), float(y))
        steering = -pursuit_angle(distance, bearing) / LOCK_RAD
        rolling = min(max(car.speed / _ROLLS, _LEAST_TURN), 1.0)
        steering = rolling * min(max(steering, -1.0), 1.0)
        pointed = max(1.0 - abs(bearing) / _LOST_RAD, 0.0)
        target = min(self.speed_limit(line, car.position.station), pointed * self.top_speed)
        missing = max(target, _SLOWEST) - car.speed
        # Rear wheels that push hard in a bend lose their hold; a car that stands has to get away.
        gently = max(1.0 - abs(steering), _LEAST_PUSH)
        throttle = gently * min(max(_THROTTLE_PER_SPEED * missing, 0.0), 1.0)
        brake = min(max(-_BRAKE_PER_SPEED * missing, 0.0), HARDEST_BRAKE)
        return Controls(steering, throttle, brake)

    def speed_limit(self, line: CentreLine, station: float) -> float:
        """Returns the highest speed from which every bend in sight can be braked for.

        A bend of curvature k allows v² = grip / k, and so much more where it is still ahead.
        """
        ahead = np.arange(0.0, self.sight, 2.0)
        bends = np.maximum(np.abs(line.curvature(station + ahead)), _STRAIGHT)
        squared = self.grip / bends + 2.0 * self.braking * ahead
        return min(math.sqrt(float(squared.min())), self.top_speed)


def distance_and_bearing(pose: Pose, x: float, y: float) -> tuple[float, float]:
    """Returns a point's distance and its bearing from the car, in -π..π, left positive."""
    dx, dy = x - pose.x, y - pose.y
    sin, cos = math.sin(pose.heading), math.cos(pose.heading)
    return math.hypot(dx, dy), math.atan2(-cos * dx - sin * dy, -sin * dx + cos * dy)


def pursuit_angle(distance: float, bearing: float) -> float:
    """Returns the front wheels' angle for the arc through a point, in radians, left positive.

    The arc that leaves the car straight ahead and meets the point has the curvature
    2 sin(bearing) / distance. Towards a point behind the car the wheels turn as far as they go.
    """
    if abs(bearing) > math.pi / 2:
        return math.copysign(LOCK_RAD, bearing)
    return math.atan(WHEELBASE * 2.0 * math.sin(bearing) / distance)
