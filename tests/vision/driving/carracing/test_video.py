"""Films of drives: what a frame of one shows."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.render import PictureMoment
from rl_abn.vision.driving.carracing import video as video_module
from rl_abn.vision.driving.carracing.drive import Rules, drive
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.video import DriveVideo


class Kept:
    """Stands in for the scene and the video: keeps the moments."""

    moments: list[PictureMoment]
    closed = 0

    def render(self, moment):
        self.moments.append(moment)
        return np.zeros((2, 2, 3), np.uint8)

    def write(self, frame):
        assert not self.closed

    def close(self):
        self.closed += 1


@pytest.fixture
def kept(monkeypatch):
    kept = Kept()
    kept.moments, kept.size = [], (2, 2)
    monkeypatch.setattr(video_module, "PictureScene", lambda **_: kept)
    monkeypatch.setattr(video_module, "VideoWriter", lambda *_: kept)
    return kept


def test_a_video_shows_every_other_step_and_the_last(kept, circle_car, tmp_path):
    video = DriveVideo(tmp_path / "a.mp4", Expert(), "")
    drive(
        Expert(), [3], Rules(max_steps=120), observers=[video], screens=True, simulator=circle_car
    )
    shown = [int(moment.frame[0, 0, 0]) for moment in kept.moments]
    assert shown == [*range(0, 120, 2), 119]
    assert kept.moments[0].frame.shape == (400, 600, 3)
    assert [moment.starts for moment in kept.moments] == [True] + [False] * 60
    speed, score, share, put_back, time = kept.moments[-1].status
    assert (put_back, time) == ("0", "0:02")
    assert float(speed) == pytest.approx(circle_car.speed, abs=3)
    assert float(score) > 0
    assert share == f"{circle_car.completed:.0%}"
    assert all(-1 <= moment.controls[1] <= 1 for moment in kept.moments)
    assert kept.closed == 1


def test_a_car_that_was_put_back_begins_a_new_curve(kept, circle_car, tmp_path):
    video = DriveVideo(tmp_path / "a.mp4", Expert(), "")
    drive(
        lambda frame, speed: (0.0, 1.0, 0.0),
        [0],
        Rules(max_steps=300),
        observers=[video],
        screens=True,
        simulator=circle_car,
    )
    put_back = [int(moment.status[3]) for moment in kept.moments]
    assert put_back[0] == 0
    assert put_back[-1] >= 1
    begins = [a + 1 for a in range(len(put_back) - 1) if put_back[a + 1] > put_back[a]]
    assert [i for i, moment in enumerate(kept.moments) if moment.starts] == [0, *begins]


def test_maps_cover_the_rows_that_the_network_sees():
    assert video_module._on_screen(84) == 350
