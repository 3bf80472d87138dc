"""The folder a driving log is kept in, a row and a picture at a time."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2
import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output
from rl_abn.vision.driving.carracing.controls import Controls

LOG_NAME = "driving_log.csv"
COLUMNS = ("image", "steering", "throttle", "brake", "speed", "recording")
_IMAGES = "images"
_NAME = re.compile(r"(?:^|[/\\])track-(\d{1,18})-seed-(\d{1,18})-step-(\d{1,18})\.png$")


class FrameName(NamedTuple):
    """What a picture's name says.

    Attributes:
        track: The track it was taken on. Rows of one track belong together: split logs by it.
        seed: The seed of that drive's disturbances.
        step: The simulator's steps before it, of which 50 are a second.
    """

    track: int
    seed: int
    step: int

    @property
    def path(self) -> str:
        """The picture's path inside the log's folder, as the log has it."""
        return f"{_IMAGES}/{self.recording}-step-{self.step:05d}.png"

    @property
    def recording(self) -> str:
        """What was driven in one go, as the log calls it: one track, once."""
        return f"track-{self.track:06d}-seed-{self.seed}"


def parse_frame_name(image: str) -> FrameName | None:
    """Reads the name of a recorded picture; None if it is no such name."""
    match = _NAME.search(image)
    return None if match is None else FrameName(*map(int, match.groups()))


def keep_whole_drives(folder: Path) -> list[int]:
    """Takes the last drive out of a log that was cut off: nobody knows whether it is whole.

    Args:
        folder: The log's; there may be none in it.

    Returns:
        The tracks of the drives that are left, in order.

    Raises:
        RlAbnError: If the log cannot be read or written.
    """
    path = folder / LOG_NAME
    if not path.is_file():
        return []
    try:
        head, *lines = path.read_text("utf-8").splitlines(keepends=True) or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise RlAbnError(f"{path}: cannot be read: {error}") from None
    expected = ",".join(COLUMNS) + "\n"
    if head != expected:
        if not expected.startswith(head):
            raise RlAbnError(f"{path}: expected a log of CarRacing to go on with, got another")
        path.unlink()  # cut off in its first line
        return []
    rows = [(line, parse_frame_name(line.partition(",")[0])) for line in lines]
    whole = [(line, name) for line, name in rows if name is not None and line.endswith("\n")]
    last = whole[-1][1].track if whole else None
    kept = [(line, name.track) for line, name in whole if name.track != last]
    write_output(path, (head + "".join(line for line, _ in kept)).encode())
    return list(dict.fromkeys(track for _, track in kept))


class LogWriter:
    """Writes a driving log: `driving_log.csv` and the pictures it names. A context manager.

    A row is written after its picture and goes to the file at once, so a log that was cut off reads
    like one that was not. Pictures are PNG: what a network learns from is what it will meet when it
    drives, to the byte.

    Args:
        folder: Where; made if it is not there.
        onto: Whether rows are added to a log that is there.

    Raises:
        RlAbnError: If there is a log in it already and nothing is to be added to it, or it cannot
            be written.
    """

    def __init__(self, folder: Path, *, onto: bool = False) -> None:
        self.n_frames = 0
        self._folder = folder
        goes_on = onto and (folder / LOG_NAME).is_file()
        try:
            (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
            mode = "a" if goes_on else "x"
            self._file = (folder / LOG_NAME).open(mode, encoding="utf-8", newline="")
        except FileExistsError:
            raise RlAbnError(
                f"{folder}: expected a folder without a driving log, got one with "
                f"{LOG_NAME}; choose another"
            ) from None
        except OSError as error:
            raise self._refused(error) from None
        self._rows = csv.writer(self._file, lineterminator="\n")
        if not goes_on:
            self._write_row(COLUMNS)

    def write(
        self,
        name: FrameName,
        frame: UInt8[np.ndarray, "height width 3"],
        controls: Controls,
        speed: float,
    ) -> None:
        """Adds a row.

        Args:
            name: Of the picture.
            frame: The picture, red, green and blue.
            controls: The right answer to it.
            speed: In the simulator's units a second.

        Raises:
            RlAbnError: If it cannot be written.
        """
        ok, png = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        assert ok
        try:
            (self._folder / name.path).write_bytes(png.tobytes())
        except OSError as error:
            raise self._refused(error) from None
        numbers = (f"{number:.6g}" for number in (*controls, speed))
        self._write_row((name.path, *numbers, name.recording))
        self.n_frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as refusal:  # what could not be written before can't be now
            if error is None:
                raise self._refused(refusal) from None

    def _write_row(self, row: tuple[str, ...]) -> None:
        try:
            self._rows.writerow(row)
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> RlAbnError:
        return RlAbnError(f"{self._folder}: cannot be written: {error.strerror}")
