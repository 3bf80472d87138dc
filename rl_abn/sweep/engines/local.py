"""Works on units in processes of this machine, a limited number at a time."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress

from rl_abn.sweep.engines.child import settle, start_worker, units_that_fit, write_unit
from rl_abn.sweep.plan import Plan, Unit
from rl_abn.sweep.status import FAILED, change_status


class LocalEngine:
    """Processes of this machine.

    Args:
        plan: The sweep.
        workers: Units at a time; None is as many as there are cores for.

    Raises:
        RlAbnError: If the machine has no such device.
    """

    outlives = False

    def __init__(self, plan: Plan, workers: int | None) -> None:
        from rl_abn.compute.device import device_of

        self._out = plan.out.resolve()
        self._threads = plan.recipe.machine.threads
        self._workers = workers or units_that_fit(self._threads)
        self._devices = plan.recipe.machine.devices
        for device in self._devices:
            device_of(device)
        self._queue: deque[Unit] = deque()
        self._running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
        self._stopping = False

    def submit(self, units: Sequence[Unit]) -> None:
        """Hands units in; they start as others end.

        Raises:
            RlAbnError: If they cannot be written down.
        """
        for unit in units:
            write_unit(self._out, unit)
        self._queue.extend(units)

    def poll(self) -> set[str]:
        """Starts units where there is room; returns the names of those that ended.

        Raises:
            RlAbnError: If the sweep's folder cannot be written.
        """
        ended = set()
        for name, (process, _) in list(self._running.items()):
            if (code := process.poll()) is not None:
                del self._running[name]
                _close_input(process)
                settle(self._out, name, code)
                ended.add(name)
        while self._queue and len(self._running) < self._workers and not self._stopping:
            unit, device = self._queue.popleft(), self._freest_device()
            try:
                worker = start_worker(self._out, unit.name, self._threads, device)
            except OSError as error:
                message = f"cannot be started: {error.strerror}"
                change_status(self._out / unit.name, state=FAILED, message=message)
                ended.add(unit.name)
                continue
            self._running[unit.name] = worker, device
        if self._stopping:
            ended |= {unit.name for unit in self._queue}
            self._queue.clear()
        return ended

    def stop(self) -> None:
        """Asks the running units to save and end, and starts no other."""
        self._stopping = True
        for process, _ in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Kills what still runs."""
        for process, _ in self._running.values():
            process.kill()
            process.wait()
            _close_input(process)
        self._running.clear()

    def _freest_device(self) -> str:
        busy = Counter(device for _, device in self._running.values())
        return min(self._devices, key=lambda device: busy[device])


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
