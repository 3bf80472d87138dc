"""Driving logs, on a car that needs no Box2D."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.controls import Controls
from rl_abn.vision.driving.carracing.disturbances import Disturbances
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.log import FrameName, LogWriter, parse_frame_name
from rl_abn.vision.driving.carracing.recording import Recording, is_recorded, record_log

UNDISTURBED = Disturbances(
    start_offset=0.0, start_turned=0.0, strength=(0.0, 0.0), pedals_strength=(0.0, 0.0)
)


def rows_of(folder):
    with (folder / "driving_log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_names_are_read_back():
    name = FrameName(track=123, seed=4, step=50)
    assert name.path == "images/track-000123-seed-4-step-00050.png"
    assert parse_frame_name(name.path) == name
    assert parse_frame_name("C:\\logs\\images\\track-000123-seed-4-step-00050.png") == name
    assert parse_frame_name("IMG/center_2018_07_16.jpg") is None


def test_a_row_holds_the_picture_and_the_answer_to_it(tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    with LogWriter(tmp_path / "log") as log:
        log.write(FrameName(1, 2, 3), frame, Controls(-0.25, 0.5, 0.0), 41.5)
    (row,) = rows_of(tmp_path / "log")
    assert list(row) == ["image", "steering", "throttle", "brake", "speed", "recording"]
    assert [float(row[column]) for column in list(row)[1:5]] == [-0.25, 0.5, 0.0, 41.5]
    assert row["recording"] == "track-000001-seed-2"
    picture = cv2.imread(str(tmp_path / "log" / row["image"]))
    assert np.array_equal(picture[:, :, ::-1], frame)


def test_a_log_is_written_over_none(tmp_path):
    with LogWriter(tmp_path):
        pass
    with pytest.raises(RlAbnError, match="without a driving log, got one"):
        LogWriter(tmp_path)


def test_where_nothing_can_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RlAbnError, match="cannot be written"):
        LogWriter(tmp_path / "file" / "log")


def test_every_second_step_of_every_track_is_recorded(tmp_path, circle_car):
    recording = Recording(disturbances=UNDISTURBED, every=2, max_steps=21)
    drives = record_log(tmp_path, [8, 9], recording, simulator=circle_car)
    names = [parse_frame_name(row["image"]) for row in rows_of(tmp_path)]
    assert names == [FrameName(track, 0, step) for track in (8, 9) for step in range(0, 21, 2)]
    assert [(drive.track, drive.n_frames) for drive in drives] == [(8, 11), (9, 11)]
    for name in names:
        picture = cv2.imread(str(tmp_path / name.path))
        assert picture.shape == (96, 96, 3)
        assert np.all(picture == name.step)


def test_a_whole_lap_is_recorded_to_its_end(tmp_path, circle_car):
    (drive,) = record_log(tmp_path, [0], Recording(every=10), simulator=circle_car)
    assert drive.completed > 0.95
    assert drive.n_frames == len(rows_of(tmp_path)) < 100


def test_the_label_is_the_experts_answer_and_not_the_disturbance(tmp_path, circle_car):
    """Pushed to one side all the time, the car goes there and the labels steer against it."""

    class OneSided(type(circle_car)):
        def step(self, controls):
            done.append(controls.steering)
            return super().step(controls)

    done: list[float] = []
    pushing = Disturbances(
        start_offset=0.0, start_turned=0.0, apart_s=(0.02, 0.02), lasting_s=(9, 9), strength=(1, 1)
    )
    recording = Recording(disturbances=pushing, every=1, max_steps=60)
    record_log(tmp_path, [0], recording, simulator=OneSided())
    labels = np.array([float(row["steering"]) for row in rows_of(tmp_path)])
    pushed = np.array(done) - labels
    side = np.sign(pushed[5])
    assert np.all(side * pushed[1:] > 0)
    assert side * labels[-1] < side * labels[5]


def test_the_first_label_steers_back_from_where_the_drive_starts(tmp_path, circle_car):
    recording = Recording(disturbances=Disturbances(start_turned=0.0), max_steps=1)
    offsets = []
    for track in range(8):
        record_log(tmp_path / str(track), [track], recording, simulator=circle_car)
        offsets.append(circle_car.position.offset)
    labels = [float(rows_of(tmp_path / str(track))[0]["steering"]) for track in range(8)]
    assert min(offsets) < -1
    assert max(offsets) > 1
    assert np.corrcoef(offsets, labels)[0, 1] > 0.95


def test_a_drive_depends_on_its_track_and_the_seed_alone(tmp_path, circle_car):
    def rows(name: str, tracks: list[int], seed: int = 0) -> dict[str, str]:
        folder = tmp_path / name
        record_log(folder, tracks, Recording(max_steps=80, seed=seed), simulator=circle_car)
        return {row["image"]: row["steering"] for row in rows_of(folder)}

    both, second = rows("both", [1, 2]), rows("second", [2])
    assert second.items() <= both.items()
    assert list(rows("other", [2], seed=1).values()) != list(second.values())


def test_five_actions_change_the_drive_and_not_the_labels_kind(tmp_path, circle_car):
    recording = Recording(disturbances=UNDISTURBED, five_actions=True, max_steps=300, every=5)
    record_log(tmp_path, [0], recording, simulator=circle_car)
    steering = {float(row["steering"]) for row in rows_of(tmp_path)}
    assert len(steering - {-1.0, 0.0, 1.0}) > 10


def test_a_stopped_recording_is_a_log(tmp_path, circle_car):
    def stop_at_30(controls):
        if circle_car.steps == 30:
            raise KeyboardInterrupt
        return type(circle_car).step(circle_car, controls)

    circle_car.step = stop_at_30
    with pytest.raises(KeyboardInterrupt):
        record_log(tmp_path, [0], Recording(every=2), simulator=circle_car)
    rows = rows_of(tmp_path)
    assert len(rows) == 16
    for row in rows:
        assert cv2.imread(str(tmp_path / row["image"])) is not None
        assert all(np.isfinite(float(row[column])) for column in ("steering", "speed"))
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["frames_a_second"] == 25
    assert about["recording"]["expert"]["top_speed"] == Expert().top_speed


def test_rows_are_there_while_it_is_being_recorded(tmp_path, circle_car):
    def look(controls):
        assert len(rows_of(tmp_path)) == circle_car.steps // 2 + 1
        return type(circle_car).step(circle_car, controls)

    circle_car.step = look
    record_log(tmp_path, [0], Recording(every=2, max_steps=10), simulator=circle_car)


def test_numbers_that_make_no_sense_are_refused(tmp_path, circle_car):
    with pytest.raises(RlAbnError, match="every and max_steps of at least 1, got 0 and 1500"):
        record_log(tmp_path, [0], Recording(every=0), simulator=circle_car)
    with pytest.raises(RlAbnError, match="every track once"):
        record_log(tmp_path, [0, 1, 0], simulator=circle_car)
    assert not list(tmp_path.iterdir())


def test_a_log_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path, circle_car):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    recording = Recording(max_steps=60)
    record_log(whole, [3, 4, 5], recording, simulator=circle_car)

    def stop_on_5(controls):
        if circle_car.track == 5 and circle_car.steps == 30:
            raise KeyboardInterrupt
        return type(circle_car).step(circle_car, controls)

    circle_car.step = stop_on_5
    with pytest.raises(KeyboardInterrupt):
        record_log(cut, [3, 4, 5], recording, simulator=circle_car)
    del circle_car.step
    assert not is_recorded(cut, [3, 4, 5], recording)
    with (cut / "driving_log.csv").open("a") as log:
        log.write("images/track-0000")  # a row that was being written
    drives = record_log(cut, [3, 4, 5], recording, go_on=True, simulator=circle_car)
    assert [drive.track for drive in drives] == [5]
    files = {path.relative_to(whole) for path in whole.rglob("*")}
    assert {path.relative_to(cut) for path in cut.rglob("*")} == files
    for path in files:
        if (whole / path).is_file():
            assert (cut / path).read_bytes() == (whole / path).read_bytes()
    assert is_recorded(cut, [3, 4, 5], recording)
    assert record_log(cut, [3, 4, 5], recording, go_on=True, simulator=circle_car) == []
    for tracks, how in (([3, 4], recording), ([3, 4, 5], Recording())):
        with pytest.raises(RlAbnError, match="recorded otherwise; choose another folder"):
            record_log(cut, tracks, how, go_on=True, simulator=circle_car)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", None), ("image,steer", None), ("center,steering\n", "a log of CarRacing to go on with")],
)
def test_a_log_without_a_row_begins_anew_and_anothers_is_left(tmp_path, circle_car, text, said):
    (tmp_path / "driving_log.csv").write_text(text)
    if said is None:
        record_log(tmp_path, [0], Recording(max_steps=10), go_on=True, simulator=circle_car)
        assert len(rows_of(tmp_path)) == 2
    else:
        with pytest.raises(RlAbnError, match=said):
            record_log(tmp_path, [0], go_on=True, simulator=circle_car)
        assert (tmp_path / "driving_log.csv").read_text() == text
