"""The closed loop, on a car that needs no Box2D."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.controls import Action, Controls
from rl_abn.vision.driving.carracing.drive import Decision, DriveStep, Referee, Rules, drive
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.track import HALF_ROAD

STRAIGHT_ON = Controls(0.0, 0.3, 0.0)


class Watcher:
    def __init__(self) -> None:
        self.steps: list[DriveStep] = []

    def on_step(self, step: DriveStep) -> None:
        self.steps.append(step)


def test_a_referee_waits_for_a_second_without_a_break():
    referee = Referee(1.0)
    offsets = [7.0] * 49 + [0.0] + [-7.0] * 50 + [7.0] * 49
    judged = [referee.judge(offset) for offset in offsets]
    assert [i for i, put_back in enumerate(judged) if put_back] == [99]
    assert (referee.n_interventions, referee.n_off_road) == (1, 148)


def test_the_edge_is_half_the_road_away():
    referee = Referee(0.02)
    assert not referee.judge(HALF_ROAD)
    assert referee.judge(HALF_ROAD + 0.01)
    assert referee.judge(-HALF_ROAD - 0.01)


def test_nobody_is_waited_for_for_ever():
    referee = Referee(None)
    assert not any(referee.judge(50.0) for _ in range(1000))
    assert (referee.n_off_road, referee.n_interventions) == (1000, 0)
    assert referee.judge(50.0, lost=True)


def test_the_expert_needs_nobody_and_no_picture(circle_car):
    (result,) = drive(Expert(), [4], simulator=circle_car)
    assert result.track == 4
    assert result.finished
    assert (result.n_interventions, result.autonomy, result.off_road_s) == (0, 1.0, 0.0)
    assert result.completed > 0.95
    assert result.score == pytest.approx(1000 * result.completed - 0.1 * result.driven_s * 50)
    assert circle_car.frames_drawn == 0


def test_the_car_does_one_of_five_actions_if_it_is_to(circle_car):
    watcher, rules = Watcher(), Rules(five_actions=True, max_steps=400)
    drive(Expert(), [0], rules, observers=[watcher], simulator=circle_car)
    assert all(step.controls == step.action.controls for step in watcher.steps)
    assert {Action.GAS, Action.LEFT, Action.NOTHING} <= {step.action for step in watcher.steps}


def test_who_leaves_the_road_is_put_back_on_it(circle_car):
    """Straight on: off after a while, put back a second later, in the middle and along the road."""
    watcher = Watcher()
    rules = Rules(max_steps=500, restart_speed=20.0)
    (result,) = drive(
        lambda frame, speed: STRAIGHT_ON, [0], rules, observers=[watcher], simulator=circle_car
    )
    off = np.array([step.off_road for step in watcher.steps])
    put_back = np.flatnonzero([step.intervention for step in watcher.steps])
    assert result.n_interventions == len(put_back) >= 2
    assert result.off_road_s == pytest.approx(off.sum() / 50)
    for t in put_back:
        assert off[t - 49 : t + 1].all()
        assert not off[t - 50]
        assert not off[t + 1]
        assert watcher.steps[t + 1].speed == 20.0
    assert result.driven_s == 10.0
    n = result.n_interventions
    assert result.autonomy == pytest.approx(10 / (10 + 6 * n))


def test_a_car_is_put_back_beside_where_it_is(circle_car):
    circle_car.begin(0)
    poses = []

    def note(station: float, **how: float) -> None:
        poses.append((station, circle_car.position.station, how))
        type(circle_car).put(circle_car, station, **how)

    circle_car.put = note
    drive(lambda frame, speed: STRAIGHT_ON, [0], Rules(max_steps=250), simulator=circle_car)
    (_, _, how), (station, where, back) = poses[:2]
    assert how == {}  # the start
    assert station == pytest.approx(where)
    assert back == {"speed": 15.0}


def test_without_help_it_is_the_plain_environment(circle_car):
    rules = Rules(off_road_s=None, max_steps=200)
    (result,) = drive(lambda frame, speed: STRAIGHT_ON, [0], rules, simulator=circle_car)
    assert result.n_interventions == 0
    assert result.off_road_s > 1.5


def test_a_car_that_leaves_the_field_is_lost(circle_car):
    rules = Rules(off_road_s=None, max_steps=5000, penalty_s=6.0)
    (result,) = drive(lambda frame, speed: STRAIGHT_ON, [0], rules, simulator=circle_car)
    assert result.lost
    assert not result.finished
    assert result.n_interventions == 1
    assert result.autonomy == pytest.approx(result.driven_s / (result.driven_s + 6))


def test_a_driver_sees_the_picture_and_the_speed_before_it_answers(circle_car):
    watcher, seen = Watcher(), []

    def driver(frame: np.ndarray, speed: float) -> Decision:
        seen.append((frame[0, 0, 0], speed))
        return Decision(Controls(0.0, 1.0, 0.0), attention=len(seen))

    (result,) = drive(
        driver,
        [7],
        Rules(max_steps=5),
        observers=[watcher],
        screens=True,
        simulator=circle_car,
    )
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
    assert [speed for _, speed in seen] == pytest.approx([0.0, 1.2, 2.4, 3.6, 4.8])
    assert [step.attention for step in watcher.steps] == [1, 2, 3, 4, 5]
    assert [step.t for step in watcher.steps] == [0, 1, 2, 3, 4]
    assert [step.last for step in watcher.steps] == [False] * 4 + [True]
    assert watcher.steps[3].frame[0, 0, 0] == watcher.steps[3].screen[0, 0, 0] == 3
    assert watcher.steps[-1].score == result.score
    assert watcher.steps[0].track == 7


@pytest.mark.parametrize("action", [3, np.int64(3), Action.GAS])
def test_a_number_is_one_of_the_five(circle_car, action):
    watcher = Watcher()
    drive(
        lambda frame, speed: action,
        [0],
        Rules(max_steps=1),
        observers=[watcher],
        simulator=circle_car,
    )
    assert watcher.steps[0].action is Action.GAS
    assert watcher.steps[0].controls == (0.0, 0.2, 0.0)
    assert watcher.steps[0].screen is None


def test_controls_stay_within_what_a_car_has(circle_car):
    watcher = Watcher()
    drive(
        lambda frame, speed: Controls(-3.0, 1.5, -0.2),
        [0],
        Rules(max_steps=1),
        observers=[watcher],
        simulator=circle_car,
    )
    assert watcher.steps[0].controls == (-1.0, 1.0, 0.0)
    assert watcher.steps[0].action is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (5, "actions, 0 to 4, got 5"),
        (Controls(float("nan"), 0.0, 0.0), "finite controls of the driver, got (nan, 0.0, 0.0)"),
    ],
)
def test_what_is_no_answer_is_refused(circle_car, answer, message):
    with pytest.raises(RlAbnError) as error:
        drive(lambda frame, speed: answer, [0], simulator=circle_car)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "wrong", [{"max_steps": 0}, {"off_road_s": -1.0}, {"penalty_s": float("nan")}]
)
def test_rules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(RlAbnError, match=f"expected {next(iter(wrong))} of at least"):
        Rules(**wrong)


def test_one_result_a_track_in_their_order(circle_car):
    results = drive(Expert(), [5, 3], Rules(max_steps=3), simulator=circle_car)
    assert [result.track for result in results] == [5, 3]
