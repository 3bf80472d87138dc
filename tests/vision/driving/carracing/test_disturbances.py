"""What goes wrong on purpose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rl_abn.vision.driving.carracing.controls import Controls
from rl_abn.vision.driving.carracing.disturbances import Disturbances, Disturber

STRAIGHT = Controls(0.0, 0.5, 0.1)


def pushes(disturbances: Disturbances, seed: int, steps: int) -> np.ndarray:
    steering_alone = dataclasses.replace(disturbances, pedals_strength=(0.0, 0.0))
    disturber = Disturber(steering_alone, np.random.default_rng(seed))
    done = [disturber.disturb(STRAIGHT) for _ in range(steps)]
    assert all(controls[1:] == STRAIGHT[1:] for controls in done)
    return np.array([controls.steering for controls in done])


def test_the_first_comes_after_a_wait_and_each_lasts_as_long_as_said():
    disturbances = Disturbances(apart_s=(1.0, 1.0), lasting_s=(0.2, 0.2), strength=(0.5, 0.5))
    steering = pushes(disturbances, 0, 600)
    assert np.array_equal(np.abs(steering), np.tile([0.0] * 50 + [0.5] * 10, 10))
    assert {-0.5, 0.5} <= set(steering)
    assert all(len(set(steering[start : start + 10])) == 1 for start in range(50, 600, 60))


def test_a_push_is_within_its_strength():
    steering = np.abs(pushes(Disturbances(strength=(0.3, 0.6)), 1, 5000))
    assert np.all((steering == 0) | ((steering >= 0.3) & (steering <= 0.6)))
    assert 0.05 < np.mean(steering > 0) < 0.3


def test_steering_stays_within_the_lock():
    disturbances = Disturbances(apart_s=(0.02, 0.02), strength=(1.0, 1.0))
    disturber = Disturber(disturbances, np.random.default_rng(0))
    done = [disturber.disturb(Controls(0.9, 0.0, 0.0)).steering for _ in range(200)]
    assert max(done) == 1.0
    assert min(done) == pytest.approx(-0.1)


def test_wrong_pedals_leave_the_steering():
    disturbances = Disturbances(
        strength=(0.0, 0.0),
        pedals_apart_s=(1.0, 1.0),
        pedals_lasting_s=(0.2, 0.2),
        pedals_strength=(0.5, 0.5),
    )
    disturber = Disturber(disturbances, np.random.default_rng(0))
    done = [disturber.disturb(Controls(0.3, 0.2, 0.0)) for _ in range(600)]
    assert {controls.steering for controls in done} == {0.3}
    pedals = {(round(c.throttle, 6), round(c.brake, 6)) for c in done}
    assert pedals == {(0.2, 0.0), (0.7, 0.0), (0.0, 0.3)}
    assert all(c == (0.3, 0.2, 0.0) for c in done[:50])
    assert all(c != (0.3, 0.2, 0.0) for c in done[50:60])


def test_wheels_are_never_blocked():
    disturbances = Disturbances(pedals_apart_s=(0.02, 0.02), pedals_strength=(1.0, 1.0))
    disturber = Disturber(disturbances, np.random.default_rng(0))
    done = [disturber.disturb(Controls(0.0, 0.1, 0.0)) for _ in range(500)]
    assert max(controls.brake for controls in done) == 0.8
    assert max(controls.throttle for controls in done) == 1.0


def test_steering_and_pedals_share_no_chance():
    rng = np.random.default_rng
    plain, none = Disturbances(), Disturbances(pedals_lasting_s=(0.1, 0.1))
    one, other = Disturber(plain, rng(5)), Disturber(none, rng(5))
    pairs = [(one.disturb(STRAIGHT), other.disturb(STRAIGHT)) for _ in range(500)]
    assert all(a.steering == b.steering for a, b in pairs)
    assert any(a != b for a, b in pairs)


def test_chance_is_the_generators():
    one, other = pushes(Disturbances(), 5, 500), pushes(Disturbances(), 6, 500)
    assert np.array_equal(one, pushes(Disturbances(), 5, 500))
    assert not np.array_equal(one, other)


def test_starts_fill_their_range():
    disturbances = Disturbances(start_offset=4.0, start_turned=0.3)
    disturber = Disturber(disturbances, np.random.default_rng(0))
    starts = np.array([disturber.start() for _ in range(1000)])
    assert np.all(np.abs(starts) <= [4.0, 0.3])
    assert np.all(np.abs(starts).max(axis=0) > [3.9, 0.29])
    assert np.all(np.abs(starts.mean(axis=0)) < [0.3, 0.03])
