"""Metrics of a run: TensorBoard events, and one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from rl_abn.errors import RlAbnError, warn
from rl_abn.files.text import write_atomically
from rl_abn.process_memory import resident_mib
from rl_abn.runs.run import METRICS

TENSORBOARD = "tensorboard"


class MetricsFile:
    """Writes logging points into a run folder.

    Args:
        folder: The run's.
        resume_at: Drops what lies after this step: it will be made again. None starts afresh.

    Attributes:
        last_step: The step of the last logging point, or None before the first.
        last_numbers: Its numbers by name.

    Raises:
        RlAbnError: If the files cannot be written.
    """

    def __init__(self, folder: Path, resume_at: int | None = None) -> None:
        self.path = folder / METRICS
        self.last_step: int | None = None
        self.last_numbers: dict[str, float] = {}
        try:
            if resume_at is not None:
                _keep_until(self.path, resume_at)
            self._file = self.path.open("a", encoding="utf-8")
            self.board = SummaryWriter(
                str(folder / TENSORBOARD),
                purge_step=None if resume_at is None else resume_at + 1,
            )
        except OSError as error:
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None

    def add(self, values: Mapping[str, Any], step: int, hidden: Collection[str] = ()) -> None:
        """Writes one logging point, with the memory this process takes.

        Args:
            values: Numbers by name.
            step: When.
            hidden: Names that TensorBoard does not show.
        """
        self.last_step = step
        if (memory := resident_mib()) is not None:
            values = {**values, "system/memory_mib": memory}
        self.last_numbers = {key: float(value) for key, value in sorted(values.items())}
        row: dict[str, float | int | None] = {"step": step}
        for key, number in self.last_numbers.items():
            row[key] = number if math.isfinite(number) else None
            if key not in hidden:
                self.board.add_scalar(key, number, step)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def write_image(self, tag: str, image: np.ndarray, step: int) -> None:
        """Shows an RGB picture, uint8 [H, W, 3], in TensorBoard."""
        self.board.add_image(tag, image, step, dataformats="HWC")

    def close(self) -> None:
        """Flushes and closes both files."""
        self._file.close()
        self.board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the logging points of a `metrics.jsonl` that can be read."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Returns the rows, and the numbers of the lines that are none.

    A last line that a kill cut off is no loss: it is not counted.
    """
    rows, bad = [], []
    text = path.read_text("utf-8", errors="replace")
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and type(row.get("step")) is int:
            rows.append(row)
        elif number < len(lines):
            bad.append(number)
    return rows, bad


def _keep_until(path: Path, step: int) -> None:
    if not path.is_file():
        return
    rows, bad = _read(path)
    if bad:
        rows_are = "1 row is" if len(bad) == 1 else f"{len(bad):,} rows are"
        warn(f"{path}: {rows_are} unreadable and left out (line {_some(bad)})")
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
