"""The centre line's geometry, on circles whose every number is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_abn.vision.driving.carracing.track import CentreLine


def test_a_circle_is_as_long_as_it_should_be(circle):
    assert circle(50.0).length == pytest.approx(2 * math.pi * 50, rel=1e-4)


def test_it_is_a_ring(circle):
    line = circle(50.0)
    quarter = line.length / 4
    np.testing.assert_allclose(line.at(quarter), [0, 50], atol=1e-9)
    np.testing.assert_allclose(line.at(quarter + 3 * line.length), [0, 50], atol=1e-9)
    np.testing.assert_allclose(line.at(-quarter), [0, -50], atol=1e-9)
    assert line.at(np.array([0.0, quarter])).shape == (2, 2)


def test_the_road_points_along_the_tangent(circle):
    """0 points along +y, which is where a circle driven to the left starts off."""
    line = circle(50.0)
    assert line.heading(0.0) == pytest.approx(0.0, abs=1e-9)
    assert line.heading(line.length / 4) == pytest.approx(math.pi / 2)
    right = circle(50.0, left=False)
    assert abs(right.heading(0.0)) == pytest.approx(math.pi)
    assert right.heading(right.length / 4) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("radius", [12.0, 30.0, 200.0])
def test_the_curvature_is_one_over_the_radius(circle, radius):
    stations = np.linspace(0, circle(radius).length, 50)
    np.testing.assert_allclose(circle(radius).curvature(stations), 1 / radius, rtol=0.02)
    np.testing.assert_allclose(
        circle(radius, left=False).curvature(stations), -1 / radius, rtol=0.02
    )


def test_a_straight_has_no_curvature():
    line = CentreLine(np.array([[0.0, 0.0], [0.0, 100.0], [50.0, 100.0], [50.0, 0.0]]))
    assert line.curvature(50.0) == pytest.approx(0.0)
    assert line.heading(50.0) == pytest.approx(0.0)


def test_the_curvature_of_a_corner_sums_to_its_angle():
    line = CentreLine(np.array([[0.0, 0.0], [0.0, 100.0], [50.0, 100.0], [50.0, 0.0]]))
    around = np.arange(80.0, 120.0, 0.01)
    assert line.curvature(around).sum() * 0.01 == pytest.approx(-math.pi / 2, rel=1e-3)


def test_inside_is_left_and_outside_right_of_a_left_turn(circle):
    line = circle(50.0)
    inside, outside = line.locate(40.0, 0.0), line.locate(0.0, 57.0)
    assert inside.offset == pytest.approx(10.0, abs=0.01)
    assert outside.offset == pytest.approx(-7.0, abs=0.01)
    assert outside.station == pytest.approx(line.length / 4)
    assert circle(50.0, left=False).locate(40.0, 0.0).offset == pytest.approx(-10.0, abs=0.01)


def test_a_pose_is_found_again_where_it_was_put(circle):
    line = circle(50.0)
    for station, offset in [(0.0, 0.0), (33.0, 5.0), (200.0, -6.5), (line.length - 0.5, 2.0)]:
        pose = line.pose(station, offset, 0.25)
        position = line.locate(pose.x, pose.y)
        assert position.station == pytest.approx(station, abs=0.05)
        assert position.offset == pytest.approx(offset, abs=0.01)
        tangent = station / 50.0
        assert math.remainder(pose.heading - tangent - 0.25, 2 * math.pi) == pytest.approx(
            0.0, abs=0.01
        )


def test_a_car_is_on_the_road_it_came_along():
    """Two straights 8 apart: from between them, each is nearest to who was on it."""
    line = CentreLine(np.array([[0.0, 0.0], [0.0, 100.0], [8.0, 100.0], [8.0, 0.0]]))
    assert line.locate(5.0, 50.0).offset == pytest.approx(-3.0)  # of the way back, to its right
    up = line.locate(5.0, 50.0, near=48.0)
    assert up == pytest.approx((50.0, -5.0))
    assert line.locate(5.0, 50.0, near=160.0) == pytest.approx((158.0, -3.0))


def test_looking_near_the_start_sees_the_end():
    line = CentreLine(np.array([[0.0, 0.0], [0.0, 100.0], [50.0, 100.0], [50.0, 0.0]]))
    position = line.locate(3.0, -0.5, near=1.0, reach=10.0)
    assert position == pytest.approx((297.0, 0.5))


def test_a_track_of_the_simulator_is_read():
    track = [(0.0, 0.0, 3.0, 4.0), (0.1, 0.0, 3.0, 8.0), (0.2, 0.0, -1.0, 8.0)]
    line = CentreLine.of_track(track)
    assert line.length == pytest.approx(4 + 4 + math.hypot(4, 4))
    np.testing.assert_allclose(line.at(6.0), [1.0, 8.0])
