"""Drives a sweep: hands units to an engine, shows how they do, and stops them cleanly."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.runs.lock import holder_of
from rl_abn.stop_signal import StopSignal
from rl_abn.sweep import status
from rl_abn.sweep.board import Board
from rl_abn.sweep.engines import Engine
from rl_abn.sweep.engines.child import POLL_S
from rl_abn.sweep.plan import Plan, Unit
from rl_abn.sweep.status import Status, change_status, read_status
from rl_abn.sweep.unit import is_done


class Outcome(NamedTuple):
    """How the work on a sweep ended.

    Attributes:
        done: Names of the units that are done, whoever did them.
        failed: Why each failed unit failed, by name.
        left: Names of the units that are neither.
        signal: The signal that stopped the work, or None.
        goes_on: Whether units are worked on though this process ended, as jobs of a cluster are.
        time_up: Whether the time ended before the work.
    """

    done: tuple[str, ...]
    failed: dict[str, str]
    left: tuple[str, ...]
    signal: int | None
    goes_on: bool
    time_up: bool = False


def check_done(plan: Plan, unit: Unit) -> bool:
    """Says whether a unit is done; one whose record is damaged is not."""
    with suppress(RlAbnError):
        return is_done(unit, plan.out / unit.name)
    return False


def drive(
    plan: Plan, make: Callable[[], Engine], board: Board, seconds: float = math.inf
) -> Outcome:
    """Works on every unit of a sweep that is not done yet.

    Ctrl-C, SIGTERM and SIGHUP stop the units, each with a checkpoint; a second Ctrl-C ends them at
    once. Units that another process works on are waited for.

    Args:
        plan: The sweep.
        make: Makes the engine; called only where there is something to do.
        board: Shows how the units do.
        seconds: After this time the units are stopped as by Ctrl-C, and the work ends.

    Raises:
        RlAbnError: If the engine cannot work.
    """
    ends_at = time.monotonic() + seconds
    plan.write()
    to_do = {unit.name: unit for unit in plan.units if not check_done(plan, unit)}
    for unit in plan.units:
        if unit.name not in to_do:  # whoever did it
            change_status(plan.out / unit.name, state=status.DONE, step=unit.steps, message="")
    if not to_do:
        return _outcome(plan, None, goes_on=False)
    engine = make()
    try:
        with StopSignal().catching() as stop, board:
            goes_on = _loop(plan, engine, board, stop, to_do, ends_at)
    finally:
        engine.close()
    outcome = _outcome(plan, stop.received, goes_on=goes_on)
    time_up = stop.received is None and time.monotonic() >= ends_at and bool(outcome.left)
    return outcome._replace(time_up=time_up)


def _loop(
    plan: Plan,
    engine: Engine,
    board: Board,
    stop: StopSignal,
    to_do: dict[str, Unit],
    ends_at: float,
) -> bool:
    """Works until nothing is left to do or to wait for; returns whether units go on without us."""
    submitted: set[str] = set()
    asked_to_stop = False
    while to_do:
        time_up = time.monotonic() >= ends_at
        if (stop.received is not None or time_up) and not asked_to_stop:
            if stop.received == signal.SIGHUP and engine.outlives:
                return True
            asked_to_stop = True
            why = "stopping" if stop.received is not None else "the time is up"
            board.say(f"{why}: the units save where they are")
            engine.stop()
        if not asked_to_stop:
            free = _free(plan, [unit for unit in to_do.values() if unit.name not in submitted])
            if free:
                engine.submit(free)
                submitted |= {unit.name for unit in free}
        for name in engine.poll():
            submitted.discard(name)
            if read_status(plan.out / name).state != status.HELD or asked_to_stop:
                to_do.pop(name, None)
        if asked_to_stop:
            for name in [name for name in to_do if name not in submitted]:
                del to_do[name]
        board.show(_statuses(plan))
        if to_do:
            time.sleep(POLL_S)
    board.show(_statuses(plan), last=True)
    return False


def _free(plan: Plan, units: Sequence[Unit]) -> list[Unit]:
    """Returns the units that nobody else works on; those that are, wait."""
    free = []
    for unit in units:
        folder = plan.out / unit.name
        holder = holder_of(folder)
        if holder is None:
            free.append(unit)
        elif read_status(folder).state not in (status.TRAINING, status.EVALUATING):
            change_status(folder, state=status.HELD, message=f"{holder} has it")
    return free


def _statuses(plan: Plan) -> dict[str, Status]:
    return {unit.name: read_status(plan.out / unit.name) for unit in plan.units}


def _outcome(plan: Plan, received: int | None, *, goes_on: bool) -> Outcome:
    done, failed, left = [], {}, []
    for unit in plan.units:
        found = read_status(plan.out / unit.name)
        if check_done(plan, unit):
            done.append(unit.name)
        elif found.state == status.FAILED:
            failed[unit.name] = found.message or "ended without a word"
        elif received is None and found.state == status.DONE:
            failed[unit.name] = "said it was done, and its run is not finished"
        else:
            left.append(unit.name)
    return Outcome(tuple(done), failed, tuple(left), received, goes_on)
