"""A network at the wheel sees what it saw in its log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_vision_recipe
from rl_abn.runs import Checkpoint
from rl_abn.vision.data.examples import open_training
from rl_abn.vision.driving.carracing.camera import CameraDriver, check_can_drive
from rl_abn.vision.driving.carracing.controls import Action, Controls
from rl_abn.vision.driving.carracing.log import FrameName, LogWriter
from rl_abn.vision.training.build import Trained, make_batches, make_network
from tests.complaints import complaint

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)
SPEEDS = [0.0, 12.3456789, 50.0, 66.6, 71.0, 99.0]


@pytest.fixture
def log(tmp_path):
    with LogWriter(tmp_path / "log") as writer:
        for track in (1, 2):
            for step, (frame, speed) in enumerate(zip(FRAMES, SPEEDS, strict=True)):
                writer.write(FrameName(track, 0, step), frame, Controls(0.1, 0.2, 0.0), speed)
    return tmp_path / "log"


@pytest.fixture
def make(log):
    """Makes a driver of an untrained network, and its data."""

    def make(env="car_racing", agent="driving_abn", settings=(), **kwargs):
        few = ["folds.k=2", "folds.margin=0"]
        recipe = make_vision_recipe(env, agent, 0, [*few, *settings])
        data = open_training(recipe, log, CPU)
        network = make_network(recipe, data.outputs, CPU, seed=0).eval()
        batches = make_batches(recipe, data.outputs)
        checkpoint = Checkpoint(1, Path("nowhere"))
        trained = Trained(network, data.outputs, batches, CPU, checkpoint)
        return CameraDriver(trained, recipe, **kwargs), data, batches

    return make


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["pictures.size=[66, 200]"],
        ["pictures.rows=[20, 84]", "pictures.size=[64, 64]"],
        ["pictures.statistics=imagenet", "controls.speed_scale=30.0", "train.precision=bf16"],
    ],
)
def test_live_is_what_the_log_is(make, settings):
    driver, data, batches = make(settings=settings)
    learned = batches.batch(data.train, torch.arange(6))
    for i, (frame, speed) in enumerate(zip(FRAMES, SPEEDS, strict=True)):
        images, speeds = driver.seen(frame, speed)
        assert torch.equal(images, learned.images[i : i + 1])
        torch.testing.assert_close(speeds, learned.speed[i : i + 1], rtol=1e-5, atol=0)


def test_the_answer_is_the_networks(make):
    driver, data, batches = make()
    decision = driver(FRAMES[2], SPEEDS[2])
    batch = batches.batch(data.train, torch.tensor([2]))
    with torch.no_grad():
        said = driver._trained.network.attend(batch.images, batch.speed)
    steering, pedal = said.outputs[0].tolist()
    assert decision.answer.steering == pytest.approx(steering, abs=1e-6)
    assert decision.answer.throttle - decision.answer.brake == pytest.approx(pedal, abs=1e-6)
    assert torch.equal(decision.attention.map, said.map)
    assert driver.n_maps == 1


@pytest.mark.parametrize("agent", ["driving_abn_classes", "driving_cnn_classes"])
def test_classes_are_actions(make, agent):
    driver, _, _ = make("car_racing_actions", agent)
    decision = driver(FRAMES[0], 10.0)
    assert decision.answer is Action(int(decision.attention.outputs.argmax()))
    assert driver.acts
    assert driver.n_maps == (agent == "driving_abn_classes")


def test_maps_are_changed(make):
    driver, _, _ = make(intervention="zero")
    assert not driver(FRAMES[0], 10.0).attention.map.any()


def test_frozen_maps_are_the_tracks_first(make):
    driver, _, _ = make(intervention="frozen")
    plain, _, _ = make()
    driver.begin(3)
    first = driver(FRAMES[0], 10.0).attention.map
    assert torch.equal(driver(FRAMES[1], 10.0).attention.map, first)
    driver.begin(4)
    assert torch.equal(driver(FRAMES[1], 10.0).attention.map, plain(FRAMES[1], 10.0).attention.map)


def test_what_is_drawn_depends_on_the_track_alone(make):
    driver, _, _ = make(intervention="shuffled")

    def maps(track):
        driver.begin(track)
        return [driver(frame, 10.0).attention.map for frame in FRAMES[:2]]

    first, other, again = maps(1), maps(2), maps(1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])


def test_steering_alone_does_not_drive(make):
    with pytest.raises(RlAbnError, match="5 classes of steering, which press no pedal"):
        make("car_racing", "driving_abn_classes")


@pytest.mark.parametrize(
    ("env", "agent", "said"),
    [
        ("car_racing", "driving_abn_classes", "press no pedal; train it with --env car_racing_act"),
        ("driving_log", "driving_cnn", "which sees 60 to 135; train it with --env car_racing"),
    ],
)
def test_a_recipe_that_cannot_drive_is_refused_before_it_is_trained(env, agent, said):
    assert said in complaint(lambda: check_can_drive(make_vision_recipe(env, agent, 0, [])))
    for works in ("driving_abn", "driving_abn_classes"):
        check_can_drive(make_vision_recipe("car_racing_actions", works, 0, []))


def test_frames_of_another_camera_are_refused(make, log):
    driver, _, _ = make()
    recipe = make_vision_recipe("driving_log", "driving_abn", 0, [])
    with pytest.raises(
        RlAbnError, match="frames of 96x96, got driving_abn on driving_log"
    ) as error:
        CameraDriver(driver._trained, recipe)
    assert "\n" not in str(error.value)
