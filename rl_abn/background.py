"""Threads that let the others of this process go first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

ResultT = TypeVar("ResultT")

NICENESS = 5
"""A third of the weight of a thread that is as it came (sched(7))."""


def in_background(make: Callable[[], ResultT]) -> ResultT:
    """Makes something whose own threads are to yield to the rest of the process.

    On Linux priority is a thread's own, and threads inherit it from the one that starts them; that
    is a thread of low priority here, which ends with the making. Elsewhere nothing is lowered.
    """
    with ThreadPoolExecutor(1, initializer=_yield_to_others) as low:
        return low.submit(make).result()


def _yield_to_others() -> None:
    if sys.platform.startswith("linux"):
        with suppress(OSError):  # some sandboxes allow none; it is speed alone that is lost
            os.nice(NICENESS)
