"""What stable-baselines3 logs, written into a run folder."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger

from rl_abn.runs import Run
from rl_abn.runs.metrics import TENSORBOARD, MetricsFile, read_metrics

__all__ = ["TENSORBOARD", "RunMetrics", "make_logger", "read_metrics"]


class RunMetrics(MetricsFile, KVWriter):
    """Writes what SB3's logger collects into a run folder.

    Args:
        run: The run.
        resume_at: Drops what lies after this step: it will be made again. None starts afresh.

    Raises:
        RlAbnError: If the files cannot be written.
    """

    def __init__(self, run: Run, resume_at: int | None = None) -> None:
        super().__init__(run.path, resume_at)

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Writes one logging point, with the memory this process takes."""
        hidden = [key for key in key_values if "tensorboard" in (key_excluded.get(key) or ())]
        self.add(key_values, step, hidden)

    def write_beside(self, values: dict[str, float], step: int) -> None:
        """Writes a line of its own, which is no logging point: `last_step` stays as it is."""
        last = self.last_step, self.last_numbers
        self.add(values, step)
        self.last_step, self.last_numbers = last


def make_logger(metrics: RunMetrics) -> Logger:
    """Returns the logger SB3 records into."""
    return Logger(folder=None, output_formats=[metrics])
