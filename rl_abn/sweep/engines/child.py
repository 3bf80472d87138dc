"""Starts worker processes, and watches one on a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rl_abn.compute.processor import usable_cores
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output
from rl_abn.sweep import status
from rl_abn.sweep.plan import Unit
from rl_abn.sweep.status import beside, change_status, read_status
from rl_abn.sweep.worker import DONE, FAILED, HELD, MISTAKE, STOPPED

POLL_S = 0.5
_SAVING_S = 20.0
_SAID = (DONE, FAILED, MISTAKE, HELD, STOPPED)  # exit codes of a worker that could say why


def units_that_fit(threads: int) -> int:
    """Returns how many units of so many threads this machine has cores for, one at least."""
    return max(1, usable_cores() // threads)


def write_unit(out: Path, unit: Unit) -> None:
    """Writes a unit down for its worker, and that it waits.

    Raises:
        RlAbnError: If it cannot be written.
    """
    folder = out / unit.name
    write_output(beside(folder, "unit.json"), unit.model_dump(mode="json"))
    change_status(folder, state=status.WAITING, sps=None, message="")


def start_worker(out: Path, name: str, threads: int, device: str) -> subprocess.Popen[bytes]:
    """Starts a worker; what it prints is added to the unit's log.

    Args:
        out: The sweep's folder.
        name: The unit's.
        threads: That it computes with.
        device: Where the networks run.
    """
    folder = out / name
    # Read when torch loads. Threads that wait by spinning would take each other's cores.
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(counts, str(threads))}
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    words = [sys.executable, "-m", "rl_abn.sweep.worker"]
    words += [str(out), str(beside(folder, "unit.json")), device]
    with beside(folder, "log").open("ab") as log:
        # A session of its own: Ctrl-C on the terminal is for the sweep, which tells its workers.
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def settle(out: Path, name: str, code: int) -> None:
    """Writes down how a worker ended that could not say so itself, such as a killed one."""
    if code in _SAID and read_status(out / name).state in status.ENDED:
        return
    state, message = status.STOPPED, ""
    if code not in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, STOPPED):
        state = status.FAILED
        message = f"ended with exit code {code}; its log says why"
        if code < 0:
            message = f"ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                message += ", perhaps for want of memory"
    with suppress(RlAbnError):
        change_status(out / name, state=state, message=message, sps=None)


def work_on_cluster(out: str, name: str, threads: int, device: str, stop: str) -> int:
    """Works on a unit in a worker process of this machine, until it ends or is to stop.

    Args:
        out: The sweep's folder, on a file system that all machines share.
        name: The unit's.
        threads: That it computes with.
        device: Where the networks run.
        stop: A file; once it is there, the worker saves and ends.

    Returns:
        The worker's exit code.
    """
    if Path(stop).exists():
        return STOPPED
    worker = start_worker(Path(out), name, threads, device)
    try:
        asked = False
        while (code := worker.poll()) is None:
            if not asked and Path(stop).exists():
                worker.send_signal(signal.SIGINT)
                asked = True
            time.sleep(POLL_S)
    finally:
        # Where this process is ended, the end of its input tells the worker, which then saves.
        if worker.stdin is not None:
            worker.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=_SAVING_S)
    settle(Path(out), name, code)
    return code


def cluster_device(devices: Sequence[str]) -> str:
    """Returns where networks run on a cluster, which gives each unit its GPUs itself."""
    return devices[0] if len(devices) == 1 else "auto"


def ended_on_cluster(out: Path, names: Iterable[str], stop: Path) -> set[str]:
    """Returns the units that are at their end, as their status says.

    One that was stopped though nobody asked for it is not: its machine was lost or its time was
    up, and the cluster begins it again.

    Args:
        out: The sweep's folder.
        names: Of the units.
        stop: The file that asks them to stop.
    """
    ended = {status.DONE, status.FAILED, status.HELD}
    if stop.exists():
        ended.add(status.STOPPED)
    return {name for name in names if read_status(out / name).state in ended}
