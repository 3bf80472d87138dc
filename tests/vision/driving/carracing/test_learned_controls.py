"""What a log's controls become for a network, and what its answers become for the car."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_vision_recipe
from rl_abn.recipes.vision import ControlsTable
from rl_abn.vision.data import open_driving_log
from rl_abn.vision.data.examples import open_training
from rl_abn.vision.driving.carracing.controls import Action, Controls, nearest_action
from rl_abn.vision.driving.carracing.log import FrameName, LogWriter
from rl_abn.vision.driving.control_targets import driven, nearest_actions, undone

SIGNED = ControlsTable(pedals="signed")
DONE = [
    Controls(0.5, 0.0, 0.0),
    Controls(-0.5, 0.1, 0.0),
    Controls(0.0, 0.0, 0.5),
    Controls(0.0, 1.0, 0.0),
    Controls(0.01, 0.0, 0.1),
    Controls(0.0, 0.25, 0.0),
]
CLASSES = [Action.RIGHT, Action.LEFT, Action.BRAKE, Action.GAS, Action.NOTHING, Action.GAS]


@pytest.fixture
def log(tmp_path):
    frame = np.zeros((96, 96, 3), np.uint8)
    with LogWriter(tmp_path / "log") as writer:
        for track in (1, 2):
            for step, controls in enumerate(DONE):
                writer.write(FrameName(track, 0, step), frame, controls, 50.0)
    return tmp_path / "log"


def test_actions_of_tensors_are_those_of_numbers():
    steps = np.linspace(-1, 1, 41)
    pairs = list(itertools.product(steps, steps))
    actions = nearest_actions(torch.tensor(pairs))
    expected = [nearest_action(Controls(s, max(p, 0.0), max(-p, 0.0))) for s, p in pairs]
    assert actions.tolist() == expected
    assert set(expected) == set(Action)


def test_two_pedals_are_one_number(log):
    opened = open_driving_log(log)
    pedals = [0.0, 0.1, -0.5, 1.0, -0.1, 0.25] * 2
    assert driven(opened, SIGNED)[:, 1].tolist() == pytest.approx(pedals)
    assert torch.equal(driven(opened, SIGNED)[:, 0], opened.controls[:, 0])
    assert torch.equal(driven(opened, ControlsTable()), opened.controls)


@pytest.mark.parametrize("controls", DONE)
def test_what_was_learned_is_done(controls):
    pedal = controls.throttle - controls.brake
    assert undone(controls.steering, pedal, SIGNED) == controls


def test_nobody_blocks_the_wheels_and_throttle_alone_never_brakes():
    assert undone(0.0, -1.0, SIGNED) == (0.0, 0.0, 0.8)
    assert undone(0.3, -1.0, ControlsTable()) == (0.3, 0.0, 0.0)


def test_tracks_are_stretches_of_the_log(log):
    assert open_driving_log(log).blocks.tolist() == [0] * 6 + [1] * 6


def opened(log, env, agent):
    settings = ["folds.k=2", "folds.margin=0"]
    recipe = make_vision_recipe(env, agent, 0, settings)
    return open_training(recipe, log, torch.device("cpu"))


def test_classes_are_the_nearest_actions_also_in_a_mirror(log):
    from rl_abn.vision.training.build import make_batches

    recipe = make_vision_recipe(
        "car_racing_actions",
        "driving_abn_classes",
        0,
        ["folds.k=2", "folds.margin=0", "augment.flip=1.0"],
    )
    data = open_training(recipe, log, torch.device("cpu"))
    assert data.outputs.names == ("nothing", "right", "left", "gas", "brake")
    assert data.outputs.bins is None
    batches = make_batches(recipe, data.outputs)
    numbers = torch.arange(6)
    assert batches.batch(data.train, numbers).targets.tolist() == CLASSES
    mirrored = batches.batch(data.train, numbers, torch.Generator().manual_seed(0)).targets
    swapped = {Action.RIGHT: Action.LEFT, Action.LEFT: Action.RIGHT}
    assert mirrored.tolist() == [swapped.get(action, action) for action in CLASSES]


def test_regression_learns_to_brake(log):
    data = opened(log, "car_racing", "driving_abn")
    assert data.outputs.names == ("steering", "throttle")
    assert data.train.targets[:, 1].min() == -0.5
    assert data.train.drive.previous[1].tolist() == data.train.targets[0].tolist()


def test_a_class_that_brakes_needs_pedals_that_do():
    with pytest.raises(RlAbnError, match="pedals 'signed' with classes 'actions'"):
        make_vision_recipe("car_racing_actions", "driving_abn", 0, ["controls.pedals=throttle"])
