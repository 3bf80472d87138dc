"""Looks: the same bytes for the same moment; black stays black; drives and logs have them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rl_abn.vision.driving.carracing import looks
from rl_abn.vision.driving.carracing.controls import Controls
from rl_abn.vision.driving.carracing.drive import Rules, drive
from rl_abn.vision.driving.carracing.looks import LOOKS, look_named
from rl_abn.vision.driving.carracing.recording import Recording, record_log
from tests.complaints import complaint


def frame_of(colour: tuple[int, int, int]) -> np.ndarray:
    frame = np.zeros((96, 96, 3), np.uint8)
    frame[:84] = colour
    return frame


def test_the_plain_look_is_the_simulators_picture() -> None:
    frame = frame_of((102, 204, 102))
    assert LOOKS["plain"](frame, 3, 5) is frame


def test_the_restyled_look_is_of_track_and_step_alone() -> None:
    frame, restyled = frame_of((102, 204, 102)), LOOKS["restyled"]
    shown = restyled(frame, 3, 5)
    assert np.array_equal(shown, restyled(frame, 3, 5))
    assert not np.array_equal(shown, restyled(frame, 3, 6))
    assert not np.array_equal(shown, restyled(frame, 4, 5))
    assert not shown[84:].any()
    assert shown.dtype == np.uint8


def test_grass_becomes_sand_and_road_dark_blue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_NOISE", 0.0)
    monkeypatch.setattr(looks, "_SHADE", 0.0)
    monkeypatch.setattr(looks, "_FLICKER", 0.0)
    for colour, expected in (
        ((102, 204, 102), (168, 133, 76)),
        ((102, 102, 102), (61, 61, 76)),
    ):
        assert LOOKS["restyled"](frame_of(colour), 0, 0)[0, 0].tolist() == list(expected)


def test_noise_and_light_are_as_large_as_said() -> None:
    frame = np.full((200, 200, 3), 128, np.uint8)
    shown = LOOKS["restyled"](frame, 1, 0).astype(float)
    rows = np.diff(shown[:, :, 2], axis=1) / np.sqrt(2)  # neighbours have the same light
    assert rows.std() == pytest.approx(8.0, rel=0.05)
    levels = [LOOKS["restyled"](frame, 1, step).mean() for step in range(0, 200, 10)]
    assert max(levels) / min(levels) == pytest.approx(1.15 / 0.85, rel=0.05)


def test_drivers_and_logs_see_the_look(circle_car, tmp_path: Path) -> None:
    seen = []

    def driver(frame: np.ndarray, speed: float) -> Controls:
        seen.append(frame)
        return Controls(0.0, 1.0, 0.0)

    for look in ("plain", "restyled"):
        drive(driver, [7], Rules(max_steps=2, look=look), simulator=circle_car)
    assert np.ptp(seen[1]) == 0
    plain = np.full((96, 96, 3), 1, np.uint8)
    assert np.array_equal(seen[3], LOOKS["restyled"](plain, 7, 1))
    recording = Recording(max_steps=6, look="restyled")
    record_log(tmp_path / "log", [7], recording, simulator=circle_car)
    about = json.loads((tmp_path / "log" / "about.json").read_text())
    assert about["recording"]["look"] == "restyled"
    name = sorted((tmp_path / "log" / "images").iterdir())[1]
    written = cv2.cvtColor(cv2.imread(str(name)), cv2.COLOR_BGR2RGB)
    plain = np.full((96, 96, 3), 5, np.uint8)
    assert np.array_equal(written, LOOKS["restyled"](plain, 7, 5))


def test_an_unknown_look_is_one_line(circle_car, tmp_path: Path) -> None:
    assert "unknown look 'restiled': did you mean 'restyled'?" in complaint(
        lambda: look_named("restiled")
    )
    assert "unknown look" in complaint(lambda: Rules(look="x"))
    said = complaint(lambda: record_log(tmp_path / "log", [1], Recording(look="x")))
    assert "unknown look" in said
    assert not (tmp_path / "log").exists()
