"""Threads that let others go first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

ResultT = TypeVar("ResultT")

NICENESS = 5
"""A third of the weight of a thread that is as it came (sched(7))."""


def in_background(make: Callable[[], ResultT], *, idle: bool = False) -> ResultT:
    """Makes something whose own threads are to give way.

    On Linux priority is a thread's own, and threads inherit it from the one that starts them; that
    is a thread of low priority here, which ends with the making. Elsewhere nothing is lowered.

    Args:
        make: What makes it.
        idle: Whether they run only where nothing else on the machine wants to (SCHED_IDLE),
            instead of less than the rest of this process.
    """
    with ThreadPoolExecutor(1, initializer=partial(_give_way, idle)) as low:
        return low.submit(make).result()


def _give_way(idle: bool) -> None:
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError):  # some sandboxes allow none; it is speed alone that is lost
        if idle:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(NICENESS)
