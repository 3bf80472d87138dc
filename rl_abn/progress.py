"""Progress of a long job: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 10.0


class ProgressReport:
    """Shows units done, total, ETA and a few numbers. A context manager.

    Args:
        label: Name of the job.
        total: Number of units; None if unknown.
        unit: Name of the units.
        start: Units done before this process; they do not count towards the ETA.
        console: Where to print; None is standard error.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        unit: str,
        *,
        start: int = 0,
        console: Console | None = None,
    ) -> None:
        self.console = console or Console(stderr=True)
        self._label, self._total, self._unit, self._start = label, total, unit, start
        self._begun = self._last_line = time.monotonic()
        self._live: Progress | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[numbers]}", markup=False),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._live.add_task(label, total=total, completed=start, numbers="")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, done: int, **numbers: object) -> None:
        """Shows that `done` units are done, with `numbers` beside it."""
        shown = "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in numbers.items())
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._task, completed=done, numbers=shown)
        elif now - self._last_line >= PLAIN_EVERY_S or (done == self._total and done > self._start):
            self._last_line = now
            of = "" if self._total is None else f"/{self._total:,}"
            line = f"{self._label}: {done:,}{of} {self._unit}  {shown}  {self._eta(done, now)}"
            self.console.print(
                line.rstrip(),
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    def _eta(self, done: int, now: float) -> str:
        if self._total is None or done <= self._start:
            return ""
        left = (now - self._begun) / (done - self._start) * max(self._total - done, 0)
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"ETA {hours}:{minutes:02d}:{seconds:02d}"
