"""Work that takes longer than an answer: one at a time, in a thread of its own, stoppable."""

from __future__ import annotations

import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rl_abn.errors import RlAbnError, say, without_control_characters
from rl_abn.view.library import UnknownIdError

KEPT = 64


class BusyError(Exception):
    """Another piece of work is being done; the message says which."""


class StoppedError(Exception):
    """The work was told to stop; the message says what is kept of it."""


class Job:
    """A piece of work and how far it is.

    Attributes:
        id: What requests call it.
        name: What is done.
        state: "running", "done" or "failed".
        done: Units done.
        of: Units in all.
        message: How far it is, or why it failed, in one line.
        result: What came of it, for JSON.
    """

    def __init__(self, of: int, name: str) -> None:
        self.id = secrets.token_hex(8)
        self.name = name
        self.state = "running"
        self.done = 0
        self.of = of
        self.message = name
        self.result: Any = None
        self._stop = threading.Event()

    def update(self, done: int, message: str | None = None) -> None:
        """Says how far it is.

        Raises:
            StoppedError: If it was told to stop.
        """
        self.done = done
        if message is not None:
            self.message = message
        if self._stop.is_set():
            raise StoppedError

    def stop(self) -> None:
        """Tells it to stop; it does at its next update."""
        self._stop.set()

    def shown(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "id": self.id,
            "state": self.state,
            "done": self.done,
            "of": self.of,
            "message": self.message,
            "result": self.result,
        }


class Jobs:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, of: int, name: str, work: Callable[[Job], Any]) -> Job:
        """Begins a job.

        Args:
            of: Steps of a game in all.
            name: What is done, in one line.
            work: Does it and returns its result; it calls `Job.update` often.

        Raises:
            BusyError: If one is running.
        """
        with self._lock:
            for other in self._jobs.values():
                if other.state == "running":
                    raise BusyError(
                        f"expected one piece of work at a time, got '{other.name}' that is still "
                        f"being done ({other.done:,} of {other.of:,} steps): stop it, or wait"
                    )
            job = Job(of, name)
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
            self._thread = threading.Thread(target=_run, args=(job, work), daemon=True)
            self._thread.start()
        return job

    def get(self, name: str) -> Job:
        """Returns a job.

        Raises:
            UnknownIdError: If there is none of this id.
        """
        if name not in self._jobs:
            raise UnknownIdError(name)
        return self._jobs[name]

    def close(self) -> None:
        """Stops what is running and waits for it a while."""
        for job in list(self._jobs.values()):
            job.stop()
        if self._thread is not None:
            self._thread.join(timeout=5.0)


def _run(job: Job, work: Callable[[Job], Any]) -> None:
    try:
        job.result = work(job)
        job.done = job.of
        job.state = "done"
    except StoppedError as error:
        job.message, job.state = str(error) or "stopped", "failed"
    except RlAbnError as error:
        job.message = without_control_characters(" ".join(str(error).split()))
        job.state = "failed"
    except Exception as error:
        traceback.print_exc()
        say(f"{job.name} failed: {type(error).__name__}")
        job.message, job.state = "an error of this program; the terminal shows it", "failed"
