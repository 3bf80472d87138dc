"""The video of a drive."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.render import PictureScene, read_video
from rl_abn.vision.data import DrivingLog, HeldPictures, steering_bins
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.data.frames import frame_rate
from rl_abn.vision.driving.control_classes import SteeringClasses
from rl_abn.vision.models import build_model
from rl_abn.vision.visualize.drive_video import write_drive_video

PREPARE = partial(normalise, statistics="half")
N = 12


def log(names: tuple[str, ...] | None = None) -> DrivingLog:
    rng = torch.Generator().manual_seed(0)
    return DrivingLog(
        pictures=HeldPictures(torch.randint(256, (N, 66, 80, 3), generator=rng).to(torch.uint8)),
        controls=torch.rand(N, 2, generator=rng),
        brake=torch.zeros(N),
        speed=torch.linspace(0, 30, N),
        names=names or tuple(f"{i}.jpg" for i in range(N)),
        blocks=torch.tensor([0] * 6 + [1] * 6),
    )


def driver(mechanism: str = "residual", **options: object):
    torch.manual_seed(0)
    options = {"n_outputs": 2, **options}
    return build_model("driving_abn", mechanism=mechanism, size=(66, 80), **options)


def record(path: Path, network, some: DrivingLog | None = None, **options):
    some = some or log()
    options = {"speed": some.speed / 30, "prepare": PREPARE, "title": "A drive", **options}
    return write_drive_video(
        path, network, some, options.pop("indices", torch.arange(N)), **options
    )


@pytest.mark.parametrize("mechanism", ["residual", "none"])
def test_a_drive_is_recorded_frame_by_frame(tmp_path: Path, mechanism: str) -> None:
    network = driver(mechanism).train()
    assert record(tmp_path / "a.mp4", network, indices=torch.arange(2, 11)) == 9
    n_frames, _, fps = read_video(tmp_path / "a.mp4")
    assert (n_frames, fps) == (9, 15.0)
    assert network.training


def test_what_is_shown_is_what_the_network_says(tmp_path: Path, monkeypatch) -> None:
    shown = []
    real = PictureScene.render
    monkeypatch.setattr(
        PictureScene, "render", lambda self, moment: (shown.append(moment), real(self, moment))[1]
    )
    network, some = driver().eval(), log()
    record(tmp_path / "a.mp4", network, some, indices=torch.tensor([3, 4, 5, 6, 7, 9]))
    with torch.no_grad():
        said = network.attend(PREPARE(some.pictures.read(torch.tensor([4]))), some.speed[4:5] / 30)
    moment = shown[1]
    np.testing.assert_allclose(moment.controls, said.outputs[0], atol=1e-5)
    np.testing.assert_allclose(moment.branch_controls, said.branch_outputs[0], atol=1e-5)
    np.testing.assert_allclose(moment.maps, said.map[0], atol=1e-5)
    assert np.array_equal(moment.driven, some.controls[4])
    assert np.array_equal(moment.frame, some.pictures.read(torch.tensor([4]))[0].permute(1, 2, 0))
    assert moment.status == ("10.9", "4", "0:00")
    # A curve begins anew with a recording, and where frames are left out.
    assert [moment.starts for moment in shown] == [True, False, False, True, False, True]


def test_classes_of_steering_are_recorded_too(tmp_path: Path) -> None:
    bins = steering_bins(log().controls[:, 0], 7)
    network = driver(n_outputs=7, task="classification")
    assert record(tmp_path / "a.mp4", network, classes=SteeringClasses(bins)) == N


@pytest.mark.more
def test_the_frame_rate_is_the_logs_own(tmp_path: Path) -> None:
    names = tuple(f"center_2018_07_16_17_11_43_{50 * i:03}.jpg" for i in range(N))
    assert frame_rate(names) == pytest.approx(20.0)
    record(tmp_path / "a.mp4", driver(), log(names))
    assert read_video(tmp_path / "a.mp4")[2] == pytest.approx(20.0)
    record(tmp_path / "a.mp4", driver(), log(names), fps=5.0)
    assert read_video(tmp_path / "a.mp4")[2] == 5.0
    assert frame_rate(["a.jpg", *names]) is frame_rate(names[:1]) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"indices": torch.arange(0)}, "frames to show, got none"),
        (
            {"classes": SteeringClasses(steering_bins(torch.rand(5), 3))},
            "expected a network of 3 classes, got one of 2 controls",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said(tmp_path: Path, options, message: str) -> None:
    with pytest.raises(RlAbnError, match=message):
        record(tmp_path / "a.mp4", driver(), **options)
    with pytest.raises(RlAbnError, match="1 or 2 controls, got one of 3 classes"):
        record(tmp_path / "a.mp4", driver(n_outputs=3, task="classification"))
