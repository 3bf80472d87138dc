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


class LogWriter:
    """Writes a driving log: `driving_log.csv` and the pictures it names. A context manager.

    A row is written after its picture and goes to the file at once, so a log that was cut off reads
    like one that was not. Pictures are PNG: what a network learns from is what it will meet when it
    drives, to the byte.

    Args:
        folder: Where; made if it is not there.

    Raises:
        RlAbnError: If there is a log in it already, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.n_frames = 0
        self._folder = folder
        try:
            (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
            self._file = (folder / LOG_NAME).open("x", encoding="utf-8", newline="")
        except FileExistsError:
            raise RlAbnError(
                f"{folder}: expected a folder without a driving log, got one with "
                f"{LOG_NAME}; choose another"
            ) from None
        except OSError as error:
            raise self._refused(error) from None
        self._rows = csv.writer(self._file, lineterminator="\n")
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
