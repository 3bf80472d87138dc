"""A session of a run's training, from its start to its end, a stop or a failure; both tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.runs.run import RecipeT, Run
from rl_abn.stop_signal import StopSignal


class Outcome(NamedTuple, Generic[RecipeT]):
    """How a training session ended.

    Attributes:
        run: The run.
        step: Agent steps trained in all; epochs, in the vision track.
        signal: The signal that ended it early, or None.
        numbers: The session's last row of metrics, by name; empty where it wrote none.
        saved: Whether it saved a checkpoint.
    """

    run: Run[RecipeT]
    step: int
    signal: int | None
    numbers: dict[str, float]
    saved: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it early."""
        return self.signal is not None


@contextmanager
def training_session(
    run: Run[Any],
    *,
    unit: str,
    length: int,
    done: Callable[[], int],
    writes: bool = True,
    **meta: Any,
) -> Iterator[StopSignal]:
    """Keeps `meta.json` true to a training while it runs, and turns signals into a clean stop.

    `status` is "running" inside; at the end it is "finished" where the whole length is trained and
    nothing failed, else "interrupted". `wall_time_s` grows by the session's seconds.

    Args:
        run: The run that is trained.
        unit: What its length is counted in, an entry of `meta.json`: "steps" or "epochs".
        length: How many it is to have.
        done: Returns how many it has.
        writes: Whether this process writes the run; others only listen for signals.
        meta: More entries of `meta.json`.

    Yields:
        Whether a signal asked for the training to stop.

    Raises:
        RlAbnError: If the run cannot be written, such as on a full disk.
    """
    stop = StopSignal()
    if not writes:
        with stop.catching():
            yield stop
        return
    start, trained_before = time.monotonic(), run.wall_time_s
    status = "interrupted"
    run.update_meta(status="running", **meta)
    try:
        with stop.catching():
            yield stop
        if done() >= length:
            status = "finished"
    except OSError as error:
        raise RlAbnError(
            f"{run.path}: cannot be written: {error.strerror or error}; "
            "what was saved before is whole, and --on-exists resume goes on from there"
        ) from None
    finally:
        seconds = round(trained_before + time.monotonic() - start, 1)
        run.update_meta(status=status, wall_time_s=seconds, **{unit: done()})
