"""Shows a sweep while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rl_abn.errors import without_control_characters
from rl_abn.progress import LiveDisplay, eta
from rl_abn.sweep import status
from rl_abn.sweep.plan import Unit
from rl_abn.sweep.status import Status

PLAIN_EVERY_S = 30.0
_FIRST = (
    status.TRAINING,
    status.EVALUATING,
    status.FAILED,
    status.HELD,
    status.STOPPED,
    status.WAITING,
    status.DONE,
)
_SPEED_OVER_S = 120.0
_LINES_BESIDE = 7  # headings and what is above and below the table


class Board(LiveDisplay[Live]):
    """A context manager; `show` is called again and again.

    Args:
        title: Of the sweep.
        units: All its units.
        console: Where to; None is standard error.
    """

    def __init__(self, title: str, units: tuple[Unit, ...], console: Console | None = None) -> None:
        super().__init__(console, _live_table)
        self._title = title
        self._steps = {unit.name: unit.steps for unit in units}
        self._shown: dict[str, str] = {}
        self._last_line = time.monotonic()
        self._speed = _Speed()
        self._note = ""

    def say(self, note: str) -> None:
        """Shows a line until the end."""
        self._note = note
        if self.live is None:
            self._print(note)

    def show(self, statuses: Mapping[str, Status], *, last: bool = False) -> None:
        """Shows where every unit stands; `last` is at the end."""
        done = self._steps_done(statuses)
        self._speed.note(time.monotonic(), done)
        summary = self._summary(statuses, done)
        if self.live is not None:
            shown = Group(self._table(statuses), Text(summary), Text(self._note))
            self.live.update(shown, refresh=True)
            return
        for name, found in statuses.items():
            if found.state != self._shown.get(name, status.WAITING):
                self._print(f"{name}: {_said(found)}")
            self._shown[name] = found.state
        now = time.monotonic()
        if last or now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            self._print(summary)

    def _steps_done(self, statuses: Mapping[str, Status]) -> int:
        return sum(min(found.step, self._steps[name]) for name, found in statuses.items())

    def _summary(self, statuses: Mapping[str, Status], done: int) -> str:
        counts = Counter(found.state for found in statuses.values())
        said = [f"{counts[state]} {state}" for state in _FIRST if counts[state]]
        total = sum(self._steps.values())
        line = f"{self._title}: {', '.join(said)}  {done:,}/{total:,} steps"
        speed = self._speed.value
        if speed > 0 and done < total:
            line += f"  {speed:,.0f} SPS  {eta((total - done) / speed)}"
        return line

    def _table(self, statuses: Mapping[str, Status]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in ("unit", "status", "steps", "return", "SPS"):
            # A row is a line: where there is no room, the reason of a failure is cut short.
            justify: Literal["left", "right"] = "left" if heading in ("unit", "status") else "right"
            table.add_column(heading, justify=justify, no_wrap=heading != "status")
        rows = sorted(statuses.items(), key=lambda row: _FIRST.index(_known(row[1].state)))
        room = max(self.console.height - _LINES_BESIDE, 3)
        for name, found in rows[:room]:
            steps = f"{found.step:,}/{self._steps[name]:,}"
            mean = "" if found.mean_return is None else f"{found.mean_return:.1f}"
            sps = "" if found.sps is None else f"{found.sps:.0f}"
            state = found.state + (f": {found.message}" if found.message else "")
            said = Text(without_control_characters(state), no_wrap=True, overflow="ellipsis")
            table.add_row(Text(name), said, *map(Text, (steps, mean, sps)))
        if len(rows) > room:
            table.add_row(Text(f"and {len(rows) - room} more"))
        return table

    def _print(self, line: str) -> None:
        self.print_line(without_control_characters(line))


def _live_table(console: Console) -> Live:
    return Live(console=console, auto_refresh=False, transient=False)


class _Speed:
    """Steps a second over the last two minutes."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def note(self, now: float, done: int) -> None:
        """Notes how many steps are done now."""
        if self._points and done < self._points[-1][1]:
            self._points.clear()  # a unit went back to a checkpoint
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > _SPEED_OVER_S:
            del self._points[0]

    @property
    def value(self) -> float:
        """Steps a second; 0 where it cannot be told."""
        (start, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - start) if end > start else 0.0


def _known(state: str) -> str:
    return state if state in _FIRST else status.WAITING


def _said(found: Status) -> str:
    said = found.state + (f": {found.message}" if found.message else "")
    if found.state == status.DONE and found.mean_return is not None:
        said += f", mean return {found.mean_return:.1f}"
    return said
