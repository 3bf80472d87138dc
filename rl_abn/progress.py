"""Progress of a long job: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 10.0
LiveT = TypeVar("LiveT", Live, Progress)


class LiveDisplay(Generic[LiveT]):
    """A context manager: what is live on a terminal is shown meanwhile; elsewhere there are lines.

    Args:
        console: Where to print; None is standard error.
        make_live: Makes what is shown on a terminal.
    """

    def __init__(self, console: Console | None, make_live: Callable[[Console], LiveT]) -> None:
        self.console = console or Console(stderr=True)
        on_terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self.live: LiveT | None = make_live(self.console) if on_terminal else None

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def print_line(self, line: str) -> None:
        """Prints a line as it is."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


class ProgressReport(LiveDisplay[Progress]):
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
        super().__init__(console, _progress_bar)
        self._label, self._total, self._unit, self._start = label, total, unit, start
        self._begun = self._last_line = time.monotonic()
        if self.live is not None:
            self._task = self.live.add_task(label, total=total, completed=start, numbers="")

    def update(self, done: int, **numbers: object) -> None:
        """Shows that `done` units are done, with `numbers` beside it."""
        shown = "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in numbers.items())
        now = time.monotonic()
        if self.live is not None:
            self.live.update(self._task, completed=done, numbers=shown)
        elif now - self._last_line >= PLAIN_EVERY_S or (done == self._total and done > self._start):
            self._last_line = now
            of = "" if self._total is None else f"/{self._total:,}"
            line = f"{self._label}: {done:,}{of} {self._unit}  {shown}  {self._eta(done, now)}"
            self.print_line(line.rstrip())

    def skip(self, units: int, done: int) -> None:
        """Shows `done` units, the last `units` of which were done before this process."""
        self._start += units
        if self.live is not None:  # its speed is measured anew
            self.live.reset(self._task, total=self._total, completed=done, numbers="")
        else:
            of = "" if self._total is None else f"/{self._total:,}"
            self.print_line(f"{self._label}: {done:,}{of} {self._unit}, {units:,} of them before")

    def _eta(self, done: int, now: float) -> str:
        if self._total is None or done <= self._start:
            return ""
        return eta((now - self._begun) / (done - self._start) * max(self._total - done, 0))


def eta(seconds: float) -> str:
    """Returns how long something will take, such as ETA 1:02:03."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"ETA {hours}:{minutes:02d}:{left:02d}"


def _progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
    )
