"""Metrics of a run: TensorBoard events, and one JSON object a line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger
from torch.utils.tensorboard import SummaryWriter

from rl_abn.errors import RlAbnError
from rl_abn.memory import resident_mib
from rl_abn.runs import METRICS, Run, write_atomically

TENSORBOARD = "tensorboard"


class RunMetrics(KVWriter):
    """Writes what SB3's logger collects into a run folder.

    Args:
        run: The run.
        resume_at: Drops what lies after this step: it will be made again. None starts afresh.

    Attributes:
        last_step: The step of the last logging point, or None before the first.

    Raises:
        RlAbnError: If the files cannot be written.
    """

    def __init__(self, run: Run, resume_at: int | None = None) -> None:
        self.path = run.path / METRICS
        self.last_step: int | None = None
        try:
            if resume_at is not None:
                _keep_until(self.path, resume_at)
            self._file = self.path.open("a", encoding="utf-8")
            self.board = SummaryWriter(
                str(run.path / TENSORBOARD),
                purge_step=None if resume_at is None else resume_at + 1,
            )
        except OSError as error:
            raise RlAbnError(f"{run.path}: cannot be written: {error.strerror}") from None

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Writes one logging point, with the memory this process takes."""
        self.last_step = step
        if (memory := resident_mib()) is not None:
            key_values = {**key_values, "system/memory_mib": memory}
        row: dict[str, float | int | None] = {"step": step}
        for key, value in sorted(key_values.items()):
            number = float(value)
            row[key] = number if math.isfinite(number) else None
            if "tensorboard" not in (key_excluded.get(key) or ()):
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


def make_logger(metrics: RunMetrics) -> Logger:
    """Returns the logger SB3 records into."""
    return Logger(folder=None, output_formats=[metrics])


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
