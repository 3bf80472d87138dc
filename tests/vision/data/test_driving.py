"""Driving logs: columns, ranges, pictures by other machines' paths, recordings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.vision.data import StoredPictures, open_driving_log, open_labelled
from tests.complaints import complaint

HEAD = "center,steering,throttle,brake,speed"
NAMES = [f"center_2018_07_16_17_11_43_{100 * i:03}.png" for i in range(5)]
STEERING = [0.0, -0.25, 1.0, 0.5, -1.0]


def write_log(folder: Path, rows: list[str], head: str | None = HEAD) -> Path:
    path = folder / "driving_log.csv"
    path.write_text("\n".join(([head] if head else []) + rows) + "\n")
    return path


def rows(paths: list[str]) -> list[str]:
    return [f"{p},{s},0.5,0,{20 + i}" for i, (p, s) in enumerate(zip(paths, STEERING, strict=True))]


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A log of five frames of 16×32; the grey of row r in frame i is 10 i + 2 r."""
    folder = tmp_path / "drive"
    (folder / "IMG").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        grey = (10 * i + 2 * np.arange(16))[:, None, None] + np.zeros((16, 32, 3))
        cv2.imwrite(str(folder / "IMG" / name), grey.astype(np.uint8))
    write_log(folder, rows([f"IMG/{name}" for name in NAMES]))
    return folder


def test_what_a_log_says(drive: Path) -> None:
    for path in (drive, drive / "driving_log.csv", drive.parent):
        log = open_driving_log(path)
        assert log.controls.tolist() == [[s, 0.5] for s in STEERING]
        assert log.controls.dtype == torch.float32
        assert log.speed.tolist() == [20, 21, 22, 23, 24]
        assert log.brake.tolist() == [0] * 5
        assert log.blocks.tolist() == [0] * 5
        assert log.notes == ()
        assert [name.rpartition("/")[2] for name in log.names] == NAMES
        assert log.pictures.read(torch.tensor([3]))[0, 0, :, 0].tolist() == list(range(30, 62, 2))


def test_a_log_inside_a_zip(drive: Path) -> None:
    path = shutil.make_archive(str(drive), "zip", drive.parent, drive.name)
    log = open_driving_log(path)
    assert log.names[0] == f"drive/IMG/{NAMES[0]}"
    expected = open_driving_log(drive)
    assert torch.equal(log.controls, expected.controls)
    assert torch.equal(log.pictures.read(torch.arange(5)), expected.pictures.read(torch.arange(5)))


def test_rows_are_cut_out_and_resized(drive: Path) -> None:
    log = open_driving_log(drive, rows=(4, 12), size=(4, 16))
    assert log.pictures.size == (4, 16)
    # Each row is the mean of two.
    assert log.pictures.read(torch.tensor([0]))[0, 1, :, 3].tolist() == [9, 13, 17, 21]
    stored = open_driving_log(drive, rows=(4, 12), size=(4, 16), memory_limit=0)
    assert isinstance(stored.pictures, StoredPictures)
    same = [pictures.read(torch.arange(5)) for pictures in (log.pictures, stored.pictures)]
    assert torch.equal(*same)
    message = complaint(lambda: open_driving_log(drive, rows=(4, 17)))
    assert message.endswith("expected rows within the picture's 16, got 4 to 17")
    message = complaint(lambda: open_driving_log(drive, rows=(4, 4)))
    assert message == "expected rows from a first to a larger number, got (4, 4)"


def test_the_simulators_own_seven_columns(drive: Path) -> None:
    lines = [
        f"C:\\Users\\me\\Desktop\\IMG\\{name}, C:\\IMG\\left.jpg, C:\\IMG\\right.jpg,"
        f" {s}, 0.5, 0, 1.06E-05"
        for name, s in zip(NAMES, STEERING, strict=True)
    ]
    write_log(drive, lines, head=None)
    log = open_driving_log(drive)
    assert log.controls[:, 0].tolist() == STEERING
    assert log.speed.tolist() == pytest.approx([1.06e-5] * 5)
    assert log.names[4] == f"IMG/{NAMES[4]}"


@pytest.mark.parametrize(
    "foreign",
    [
        "C:\\log\\IMG\\{}",
        "/home/you/log/IMG/{}",
        "\\\\server\\share\\{}",
        "./IMG//{}",
        "{}",
        "img/{}",
    ],
)
def test_pictures_of_another_machine_are_found_beside_the_log(drive: Path, foreign: str) -> None:
    write_log(drive, rows([foreign.format(name) for name in NAMES]))
    log = open_driving_log(drive)
    assert log.names == tuple(f"IMG/{name}" for name in NAMES)
    assert log.notes == ()


def test_of_two_pictures_of_one_name_the_path_tells_which(drive: Path) -> None:
    (drive / "other" / "IMG").mkdir(parents=True)
    shutil.copy(drive / "IMG" / NAMES[0], drive / "other" / "IMG" / NAMES[2])
    paths = [f"/log/IMG/{name}" for name in NAMES]
    paths[2] = f"/log/other/IMG/{NAMES[2]}"
    write_log(drive, rows(paths))
    assert open_driving_log(drive).names[2] == f"other/IMG/{NAMES[2]}"
    paths[2] = f"/log/IMG/{NAMES[2]}"  # as likely the one as the other
    write_log(drive, rows(paths))
    log = open_driving_log(drive)
    assert len(log.names) == 4
    assert "1 of 5 pictures are missing" in log.notes[0]


def test_pictures_outside_the_log_s_folder_need_a_link(drive: Path) -> None:
    apart = drive.parent / "log"
    apart.mkdir()
    for path in (f"{drive}/IMG/{{}}", "../drive/IMG/{}", "x/../../drive/IMG/{}"):
        log = write_log(apart, rows([path.format(name) for name in NAMES]))
        message = complaint(lambda log=log: open_driving_log(log))
        assert f"got '{path.format(NAMES[0])}'; a link there to their folder" in message
        (apart / "IMG").symlink_to(drive / "IMG")
        assert len(open_driving_log(log).names) == 5
        (apart / "IMG").unlink()
    write_log(apart, rows([f"../IMG/{name}" for name in NAMES]))
    assert "are missing" in complaint(lambda: open_driving_log(apart))


def test_names_that_are_not_utf_8_are_counted(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES[:2]:
        (drive / "IMG" / name).rename(drive / os.fsdecode(b"IMG/caf\xe9" + name.encode()))
    log = open_driving_log(drive)
    assert len(log.names) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("rl-abn: warning: ")
    assert "drive: 2 names are not UTF-8 and skipped: 'IMG/caf\\udce9center" in said


def test_missing_pictures_are_left_out_and_noted(drive: Path) -> None:
    for i in (1, 3):
        (drive / "IMG" / NAMES[i]).unlink()
    log = open_driving_log(drive)
    assert log.controls[:, 0].tolist() == [STEERING[i] for i in (0, 2, 4)]
    assert log.pictures.read(torch.arange(3))[:, 0, 0, 0].tolist() == [0, 20, 40]
    assert log.notes == (
        f"{drive}/driving_log.csv: 2 of 5 pictures are missing: IMG/{NAMES[1]}, IMG/{NAMES[3]}",
    )
    shutil.rmtree(drive / "IMG")
    message = complaint(lambda: open_driving_log(drive))
    assert "expected pictures beside the log, got none: 5 of 5 pictures are missing: " in message
    assert message.endswith("and 2 more")


def test_a_damaged_frame_is_named(drive: Path) -> None:
    path = drive / "IMG" / NAMES[2]
    path.write_bytes(path.read_bytes()[:60])
    message = complaint(lambda: open_driving_log(drive))
    assert message == f"{path}: expected a picture, got a damaged or cut-off one"


# Recordings


def test_times_in_names_tell_recordings_apart(drive: Path) -> None:
    """Ten steps of 0.1 s or a second, whichever is more, and back in time."""
    times = ["43_100", "43_200", "44_199", "45_300", "45_400", "45_350"]
    names = [f"IMG/center_2018_07_16_17_11_{time}.png" for time in times]
    for name in names:
        shutil.copy(drive / "IMG" / NAMES[0], drive / name)
    write_log(drive, [f"{name},0,0,0,0" for name in names])
    assert open_driving_log(drive).blocks.tolist() == [0, 0, 0, 1, 1, 2]


def test_a_column_may_tell_recordings_apart(drive: Path) -> None:
    log = rows([f"IMG/{name}" for name in NAMES])
    lines = [f"{row},{recording}" for row, recording in zip(log, "aabba", strict=True)]
    write_log(drive, lines, head=f"{HEAD},Recording")
    assert open_driving_log(drive).blocks.tolist() == [0, 0, 1, 1, 2]


def test_names_without_a_time_are_one_recording(drive: Path) -> None:
    for i, name in enumerate(NAMES):
        (drive / "IMG" / name).rename(drive / "IMG" / f"{i}.png")
    write_log(drive, rows([f"IMG/{i}.png" for i in range(5)]), head=HEAD.replace("center", "image"))
    assert open_driving_log(drive).blocks.tolist() == [0] * 5


# Mistakes


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "center,steer,throttle,brake,speed",
            "expected a column 'steering', got center, steer, throttle, brake, speed; "
            "the nearest is 'steer'",
        ),
        (
            "centre,steering,throttle,brake,speed",
            "expected a column 'center' or 'image', got centre, steering, throttle, brake, speed; "
            "the nearest is 'centre'",
        ),
        (
            "center,steering,throttle,brake,xyz",
            "expected a column 'speed', got center, steering, throttle, brake, xyz",
        ),
        (
            "center,steering,throttle,brake,speed,speed",
            "expected one column 'speed', got 2",
        ),
    ],
)
def test_a_missing_column(drive: Path, head: str, message: str) -> None:
    path = write_log(drive, ["a,0,0,0,0"], head=head)
    assert complaint(lambda: open_driving_log(drive)) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("1.5,0,0,10", "expected steering of -1 to 1 in line 3, got '1.5'"),
        ("-2,0,0,10", "expected steering of -1 to 1 in line 3, got '-2'"),
        ("nan,0,0,10", "expected steering of -1 to 1 in line 3, got 'nan'"),
        ("0,left,0,10", "expected throttle of 0 to 1 in line 3, got 'left'"),
        ("0,-0.5,0,10", "expected throttle of 0 to 1 in line 3, got '-0.5'"),
        ("0,0,,10", "expected brake of 0 to 1 in line 3, got ''"),
        ("0,0,0,-3", "expected speed of 0 to 500 in line 3, got '-3'"),
        ("0,0,0,501", "expected speed of 0 to 500 in line 3, got '501'"),
        ("0,0,0,inf", "expected speed of 0 to 500 in line 3, got 'inf'"),
        ("0,0,0", "expected 5 cells in line 3, got 4"),
        ("0,5,0,0,10", "expected 5 cells in line 3, got 6"),
    ],
)
def test_absurd_values(drive: Path, numbers: str, message: str) -> None:
    path = write_log(drive, [f"IMG/{NAMES[0]},0,0,0,0", f"IMG/{NAMES[1]},{numbers}"])
    assert complaint(lambda: open_driving_log(drive)) == f"{path}: {message}"


def test_rounding_errors_of_a_simulator_are_no_absurd_values(drive: Path) -> None:
    write_log(drive, [f"IMG/{NAMES[0]},-1.0000001,-1e-8,0,-1e-6"])
    log = open_driving_log(drive)
    assert log.controls.tolist() == [[-1, 0]]
    assert log.speed.tolist() == [0]


def test_files_that_are_no_log(drive: Path) -> None:
    path = drive / "driving_log.csv"
    for content, message in (
        (b"", "got an empty file"),
        (f"{HEAD}\n\n".encode(), "got a table without rows"),
        (b"\xff\xfe", "expected a CSV in UTF-8"),
        (b'"' + b"x" * 200_000, "expected a CSV in UTF-8, got field larger"),
    ):
        path.write_bytes(content)
        assert message in complaint(lambda: open_driving_log(drive))
    path.unlink()
    assert complaint(lambda: open_driving_log(drive)) == (
        f"{drive}: expected a driving log, one .csv, got none"
    )
    for name in ("a.csv", "b.csv"):
        (drive / name).write_text("x")
    assert complaint(lambda: open_driving_log(drive)).endswith("got a.csv, b.csv")
    assert complaint(lambda: open_driving_log(drive / "c.csv")).endswith("did you mean 'b.csv'?")


def test_a_log_is_no_set_with_classes(drive: Path) -> None:
    message = complaint(lambda: open_labelled(drive))
    assert message == f"{drive}: expected a set with classes, got a driving log"
