"""Five actions in place of wheel and pedals."""

from __future__ import annotations

import pytest

from rl_abn.vision.driving.carracing.controls import Action, Controls, nearest_action


def test_actions_are_numbered_as_the_simulator_does():
    assert [action.name for action in sorted(Action)] == [
        "NOTHING",
        "RIGHT",
        "LEFT",
        "GAS",
        "BRAKE",
    ]


@pytest.mark.parametrize("action", Action)
def test_each_action_is_its_own_nearest(action):
    assert nearest_action(action.controls) is action


@pytest.mark.parametrize(
    ("controls", "action"),
    [
        (Controls(0.0, 0.0, 0.39), Action.NOTHING),
        (Controls(0.0, 0.0, 0.4), Action.BRAKE),
        (Controls(1.0, 1.0, 0.4), Action.BRAKE),
        (Controls(0.10, 0.0, 0.0), Action.NOTHING),
        (Controls(0.11, 0.0, 0.0), Action.RIGHT),
        (Controls(-0.11, 0.0, 0.3), Action.LEFT),
        (Controls(0.34, 0.5, 0.0), Action.GAS),
        (Controls(0.36, 0.5, 0.0), Action.RIGHT),
        (Controls(-0.36, 0.5, 0.0), Action.LEFT),
        (Controls(0.0, 0.02, 0.0), Action.NOTHING),
        (Controls(0.0, 0.03, 0.0), Action.GAS),
    ],
)
def test_thresholds(controls, action):
    assert nearest_action(controls) is action


def test_left_and_right_mirror_each_other():
    mirrored = {Action.LEFT: Action.RIGHT, Action.RIGHT: Action.LEFT}
    for tenth in range(-10, 11):
        for throttle in (0.0, 0.3, 1.0):
            there = nearest_action(Controls(tenth / 10, throttle, 0.0))
            back = nearest_action(Controls(-tenth / 10, throttle, 0.0))
            assert back is mirrored.get(there, there)
