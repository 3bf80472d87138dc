"""The expert's answers, where they can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_abn.vision.driving.carracing.controls import HARDEST_BRAKE, LOCK_RAD, Action, nearest_action
from rl_abn.vision.driving.carracing.expert import (
    WHEELBASE,
    Expert,
    distance_and_bearing,
    pursuit_angle,
)
from rl_abn.vision.driving.carracing.simulator import CarState
from rl_abn.vision.driving.carracing.track import CentreLine, Pose


def car_at(line: CentreLine, offset: float, turned: float, speed: float) -> CarState:
    pose = line.pose(20.0, offset, turned)
    return CarState(pose, line.locate(pose.x, pose.y), speed)


def test_bearings_are_positive_to_the_left():
    north = Pose(1.0, 2.0, 0.0)
    assert distance_and_bearing(north, 1.0, 5.0) == pytest.approx((3.0, 0.0))
    assert distance_and_bearing(north, -2.0, 2.0) == pytest.approx((3.0, math.pi / 2))
    assert distance_and_bearing(north, 4.0, 2.0) == pytest.approx((3.0, -math.pi / 2))
    west = Pose(0.0, 0.0, math.pi / 2)
    assert distance_and_bearing(west, -7.0, 0.0) == pytest.approx((7.0, 0.0), abs=1e-9)


@pytest.mark.parametrize("radius", [10.0, 40.0])
@pytest.mark.parametrize("turn", [0.2, -0.6, 1.4])
def test_the_wheels_turn_to_the_arc_through_the_point(radius, turn):
    """A car that drove `turn` round a circle sees the point at bearing turn/2."""
    angle = pursuit_angle(2 * radius * math.sin(abs(turn) / 2), turn / 2)
    assert math.tan(angle) == pytest.approx(math.copysign(WHEELBASE / radius, turn))


@pytest.mark.parametrize("bearing", [1.7, -3.0])
def test_towards_a_point_behind_the_wheels_turn_all_the_way(bearing):
    assert pursuit_angle(10.0, bearing) == math.copysign(LOCK_RAD, bearing)


def test_it_steers_along_the_bend(circle):
    """Right is positive: on a left bend of radius r by -atan(L/r) of the lock."""
    expected = math.atan(WHEELBASE / 60.0) / LOCK_RAD
    for left, sign in ((True, -1), (False, 1)):
        line = circle(60.0, left=left)
        answer = Expert().answer(car_at(line, 0.0, 0.0, 40.0), line)
        assert answer.steering == pytest.approx(sign * expected, rel=0.02)


@pytest.mark.parametrize("left", [True, False])
def test_it_steers_back_to_the_line(circle, left):
    line = circle(2000.0, left=left, corners=4000)
    assert Expert().answer(car_at(line, 5.0, 0.0, 30.0), line).steering > 0.1  # it is to its left
    assert Expert().answer(car_at(line, -5.0, 0.0, 30.0), line).steering < -0.1
    assert Expert().answer(car_at(line, 0.0, 0.4, 30.0), line).steering > 0.1  # it points left
    assert Expert().answer(car_at(line, 0.0, -0.4, 30.0), line).steering < -0.1


def test_a_bend_is_taken_as_fast_as_the_grip_allows(circle):
    for radius in (12.0, 24.0):
        limit = Expert(grip=150.0).speed_limit(circle(radius), 10.0)
        assert limit == pytest.approx(math.sqrt(150.0 * radius), rel=0.02)
    assert Expert(top_speed=70.0).speed_limit(circle(500.0), 10.0) == 70.0


def test_it_brakes_in_time_for_a_bend():
    """A corner d ahead: v² is the corner's and 2·braking·d more."""
    line = CentreLine(np.array([[0.0, 0.0], [0.0, 1000.0], [500.0, 1000.0], [500.0, 0.0]]))
    expert = Expert(top_speed=1000.0, grip=150.0, braking=60.0)
    near, far = expert.speed_limit(line, 985.0), expert.speed_limit(line, 975.0)
    assert far**2 - near**2 == pytest.approx(2 * 60.0 * 10.0, rel=0.1)
    assert expert.speed_limit(line, 500.0) == 1000.0


def test_pedals(circle):
    line = circle(5000.0, corners=8000)
    slow = Expert(top_speed=50.0).answer(car_at(line, 0.0, 0.0, 45.0), line)
    fast = Expert(top_speed=50.0).answer(car_at(line, 0.0, 0.0, 55.0), line)
    far_too_fast = Expert(top_speed=50.0).answer(car_at(line, 0.0, 0.0, 90.0), line)
    assert (slow.throttle, slow.brake) == pytest.approx((0.5, 0.0), abs=0.01)
    assert (fast.throttle, fast.brake) == pytest.approx((0.0, 0.25), abs=0.01)
    assert far_too_fast.brake == HARDEST_BRAKE


def test_a_standing_car_that_points_away_gets_going(circle):
    line = circle(60.0)
    for turned in (1.0, math.pi, -2.0):
        standing = Expert().answer(car_at(line, 4.0, turned, 0.0), line)
        assert standing.throttle == pytest.approx(0.9)
        assert abs(standing.steering) == pytest.approx(0.1)
        assert nearest_action(standing) is Action.GAS
        rolling = Expert().answer(car_at(line, 4.0, turned, 10.0), line)
        assert rolling.throttle > 0
        assert abs(rolling.steering) == 1.0


def test_it_drives_round_the_circle_in_the_middle(circle_car):
    circle_car.begin(0)
    circle_car.put(0.0, offset=5.0, turned=-0.3)
    worst = 0.0
    for step in range(600):
        outcome = circle_car.step(Expert().answer(circle_car.state, circle_car.line))
        if step > 100:
            worst = max(worst, abs(circle_car.position.offset))
        if outcome.finished:
            break
    assert outcome.finished
    assert worst < 1.0
