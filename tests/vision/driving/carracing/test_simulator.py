"""On the simulator itself, where Box2D is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.controls import LOCK_RAD, Action, Controls, nearest_action
from rl_abn.vision.driving.carracing.drive import DriveStep, Rules, drive
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.simulator import FPS, FRAME_SIZE, INDICATOR_ROWS, Simulator
from rl_abn.vision.driving.carracing.track import HALF_ROAD

pytest.importorskip("Box2D")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator()


def test_numbers_are_the_simulators():
    from gymnasium.envs.box2d import car_racing

    assert pytest.approx(HALF_ROAD) == car_racing.TRACK_WIDTH
    assert (car_racing.FPS, car_racing.STATE_H, car_racing.STATE_W) == (FPS, FRAME_SIZE, FRAME_SIZE)


def test_pictures_and_rewards_are_gymnasiums(simulator):
    """But for the first second, in which the original's camera is on its way down."""
    from gymnasium.envs.box2d.car_racing import CarRacing

    original = CarRacing(continuous=True)
    original.reset(seed=3)
    simulator.begin(3)
    for step in range(75):
        controls = Expert().answer(simulator.state, simulator.line)
        action = np.array([controls.steering * LOCK_RAD, controls.throttle, controls.brake])
        outcome = simulator.step(controls)
        picture, reward, *_ = original.step(action)
        assert outcome.reward == pytest.approx(reward, abs=1e-12)
        if step >= 60:
            frame = simulator.frame()
            assert np.array_equal(frame[:-INDICATOR_ROWS], picture[:-INDICATOR_ROWS])
            assert not frame[-INDICATOR_ROWS:].any()
            assert picture[-INDICATOR_ROWS:].any()
    assert simulator.screen().shape == (400, 600, 3)


@pytest.mark.parametrize("action", Action)
def test_five_actions_are_gymnasiums(simulator, action):
    """Our controls for them, and the original's: the same car 20 steps later."""
    from gymnasium.envs.box2d.car_racing import CarRacing

    original = CarRacing(continuous=False)
    original.reset(seed=1)
    simulator.begin(1)
    for chosen in [Action.GAS] * 10 + [action] * 10:
        original.step(int(chosen))
        simulator.step(chosen.controls)
    hull = original.car.hull
    pose = simulator.state.pose
    assert (pose.x, pose.y) == pytest.approx(tuple(hull.position), abs=0.05)
    assert pose.heading == pytest.approx(hull.angle, abs=0.02)
    assert simulator.speed == pytest.approx(hull.linearVelocity.length, abs=0.05)


def test_the_line_is_the_roads(simulator):
    simulator.begin(0)
    state = simulator.state
    assert abs(state.position.offset) < 0.1
    assert state.position.station == pytest.approx(0.0, abs=0.1)
    assert math.remainder(state.pose.heading - simulator.line.heading(0.0), math.tau) == (
        pytest.approx(0.0, abs=0.05)
    )
    assert 700 < simulator.line.length < 1400


def test_a_car_is_put_where_it_is_to_be_and_rolls_on(simulator):
    simulator.begin(2)
    simulator.put(300.0, offset=-2.0, turned=0.1, speed=20.0)
    pose, position, speed = simulator.state
    assert position == pytest.approx((300.0, -2.0), abs=0.3)
    assert pose == pytest.approx(simulator.line.pose(300.0, -2.0, 0.1), abs=1e-4)
    assert speed == pytest.approx(20.0)
    for _ in range(25):
        simulator.step(Controls(0.0, 0.0, 0.0))
    later = simulator.state
    assert later.speed == pytest.approx(20.0, rel=0.05)
    moved = np.array([later.pose.x - pose.x, later.pose.y - pose.y])
    ahead = [-math.sin(pose.heading), math.cos(pose.heading)]
    assert moved @ ahead == pytest.approx(10.0, rel=0.05)
    assert abs(moved @ [ahead[1], -ahead[0]]) < 0.1


def test_steering_to_the_right_turns_to_the_right(simulator):
    for steering, side in ((0.5, -1), (-0.5, 1)):
        simulator.begin(2)
        simulator.put(0.0, speed=20.0)
        before = simulator.state.pose.heading
        for _ in range(20):
            simulator.step(Controls(steering, 0.0, 0.0))
        assert side * (simulator.state.pose.heading - before) > 0.2


def test_no_track_has_a_negative_number(simulator):
    with pytest.raises(RlAbnError, match="0 or more, got -1"):
        simulator.begin(-1)


def test_the_expert_gets_past_the_first_tiles(simulator):
    for rules in (Rules(max_steps=200), Rules(max_steps=200, five_actions=True)):
        (result,) = drive(Expert(), [0], rules, simulator=simulator)
        assert result.completed > 0.1
        assert result.score > 80
        assert (result.off_road_s, result.n_interventions) == (0.0, 0)


def test_the_same_track_is_the_same_drive(simulator):
    """Also on a simulator that has driven before."""
    rules = Rules(max_steps=150)
    first = drive(Expert(), [5, 6], rules, simulator=simulator)
    assert drive(Expert(), [5, 6], rules, simulator=simulator) == first
    assert drive(Expert(), [5, 6], rules) == first
    assert first[0].score != first[1].score


def test_the_expert_finds_back_from_the_grass(simulator):
    simulator.begin(1)
    simulator.put(100.0, offset=12.0, turned=0.8, speed=20.0)
    for _ in range(200):
        simulator.step(Expert().answer(simulator.state, simulator.line))
    assert abs(simulator.state.position.offset) < 2.0
    assert simulator.state.speed > 20.0


def test_who_does_nothing_is_put_back_after_being_pushed_off_the_road():
    class OnTheGrass(Simulator):
        def begin(self, track: int) -> None:
            super().begin(track)
            self.put(20.0, offset=-12.0, turned=-0.5, speed=10.0)

    class Watcher:
        def __init__(self) -> None:
            self.steps: list[DriveStep] = []

        def on_step(self, step: DriveStep) -> None:
            self.steps.append(step._replace(frame=None))

    watcher = Watcher()
    rules = Rules(max_steps=70, restart_speed=15.0)
    (result,) = drive(
        lambda frame, speed: Action.NOTHING,
        [0],
        rules,
        observers=[watcher],
        simulator=OnTheGrass(),
    )
    assert [step.t for step in watcher.steps if step.intervention] == [49]
    assert watcher.steps[49].off_road
    assert not watcher.steps[50].off_road
    assert watcher.steps[50].speed == pytest.approx(15.0)
    assert result.n_interventions == 1
    assert result.off_road_s == pytest.approx(1.0)
    assert result.autonomy == pytest.approx(1.4 / 7.4)


@pytest.mark.parametrize("five_actions", [False, True])
def test_the_expert_gets_away_from_a_stand_in_the_sharpest_bend(simulator, five_actions):
    simulator.begin(0)
    stations = np.arange(0.0, simulator.line.length, 5.0)
    bend = float(stations[np.abs(simulator.line.curvature(stations)).argmax()])
    simulator.put(bend, turned=0.5, speed=0.0)
    for _ in range(200):
        controls = Expert().answer(simulator.state, simulator.line)
        simulator.step(nearest_action(controls).controls if five_actions else controls)
    assert (simulator.state.position.station - bend) % simulator.line.length > 50
    assert abs(simulator.state.position.offset) < HALF_ROAD
