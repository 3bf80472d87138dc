"""Metrics of a run: TensorBoard events, and one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from rl_abn.process_memory import resident_mib
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_atomically

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"


class MetricsFile:
    """Writes logging points into a run folder.

    Args:
        folder: The run's.
        resume_at: Drops what lies after this step: it will be made again. None starts afresh.

    Attributes:
        last_step: The step of the last logging point, or None before the first.

    Raises:
        RlAbnError: If the files cannot be written.
    """

    def __init__(self, folder: Path, resume_at: int | None = None) -> None:
        self.path = folder / METRICS
        self.last_step: int | None = None
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
        row: dict[str, float | int | None] = {"step": step}
        for key, value in sorted(values.items()):
            number = float(value)
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
    """Reads the logging points of a `metrics.jsonl`, up to the first line that a kill cut off."""
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            break
        rows.append(row)
    return rows


def _keep_until(path: Path, step: int) -> None:
    if path.is_file():
        kept = [json.dumps(row) + "\n" for row in read_metrics(path) if row["step"] <= step]
        write_atomically(path, "".join(kept))
