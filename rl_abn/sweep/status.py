"""What a unit says of itself while it is worked on: a small JSON file beside its run folder."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.progress import ProgressReport

WRITE_EVERY_S = 1.0

WAITING, TRAINING, EVALUATING = "waiting", "training", "evaluating"
DONE, FAILED, STOPPED, HELD = "done", "failed", "stopped", "held"
ENDED = (DONE, FAILED, STOPPED, HELD)


class Status(NamedTuple):
    """Where a unit stands.

    Attributes:
        state: "waiting", "training", "evaluating", "done", "failed", "stopped", or "held" where
            another process trains it.
        step: Agent steps trained.
        mean_return: Mean return of the last 100 training games; None before the first ends.
        sps: Agent steps a second; None where it does not train.
        message: Why it failed, or who holds it.
    """

    state: str = WAITING
    step: int = 0
    mean_return: float | None = None
    sps: float | None = None
    message: str = ""


def beside(run_folder: Path, kind: str) -> Path:
    """Returns the path of a unit's file beside its run folder, such as seed-0.status.json."""
    return run_folder.with_name(f"{run_folder.name}.{kind}")


def read_status(run_folder: Path) -> Status:
    """Reads a unit's status; one that was never begun, or cannot be read, is waiting."""
    try:
        data = read_json(beside(run_folder, "status.json"))
    except RlAbnError:
        return Status()
    return Status(
        state=str(data.get("state", WAITING)),
        step=data["step"] if type(data.get("step")) is int else 0,
        mean_return=_number(data.get("mean_return")),
        sps=_number(data.get("sps")),
        message=str(data.get("message", "")),
    )


def write_status(run_folder: Path, status: Status) -> None:
    """Writes a unit's status.

    Raises:
        RlAbnError: If it cannot be written.
    """
    write_output(beside(run_folder, "status.json"), status._asdict())


def change_status(run_folder: Path, **changes: Any) -> None:
    """Changes a unit's status.

    Raises:
        RlAbnError: If it cannot be written.
    """
    write_status(run_folder, read_status(run_folder)._replace(**changes))


class StatusReport(ProgressReport):
    """Progress of a training or evaluation, written into the status file once a second.

    Args:
        run_folder: The unit's.
        state: What it does.
        total: Of how many steps or games.
        unit: What they are.
    """

    def __init__(self, run_folder: Path, state: str, total: int, unit: str) -> None:
        super().__init__(state, total, unit)
        self._folder = run_folder
        self._state = state
        self._written = -math.inf
        change_status(run_folder, state=state, sps=None, message="")

    def update(self, done: int, **numbers: object) -> None:
        """Shows that `done` steps are done, with their return and speed."""
        super().update(done, **numbers)
        now = time.monotonic()
        if self._state != TRAINING or (now - self._written < WRITE_EVERY_S and done != self._total):
            return
        self._written = now
        with suppress(RlAbnError):  # a file system that hiccups costs a number on the screen
            change_status(
                self._folder,
                step=done,
                mean_return=_parsed(numbers.get("return")),
                sps=_parsed(numbers.get("SPS")),
            )


def _parsed(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
