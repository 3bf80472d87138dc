"""Works on units as the jobs of a SLURM array, which submitit submits."""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.sweep import status
from rl_abn.sweep.engines.child import (
    cluster_device,
    ended_on_cluster,
    settle,
    units_that_fit,
    work_on_cluster,
    write_unit,
)
from rl_abn.sweep.plan import Plan, Unit
from rl_abn.sweep.status import read_status

_ASK_EVERY_S = 10.0  # whether jobs are gone: the scheduler of a cluster serves many


class Job:
    """What a job does; submitit calls `checkpoint` at the time limit and on preemption."""

    def __call__(self, out: str, name: str, threads: int, device: str, stop: str) -> int:
        """Works on a unit and returns the worker's exit code."""
        return work_on_cluster(out, name, threads, device, stop)

    def checkpoint(self, *arguments: Any) -> Any:
        """Puts the unit into the queue again; it goes on from its newest checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


class SlurmEngine:
    """Jobs of SLURM arrays, one a unit; they go on when the process that submitted them ends.

    Args:
        plan: The sweep.
        workers: Units at a time; None is no limit, or with `cluster = "local"` the cores.

    Raises:
        RlAbnError: If there is no SLURM here, or it takes no such option.
    """

    def __init__(self, plan: Plan, workers: int | None) -> None:
        import submitit

        machine, settings = plan.recipe.machine, plan.recipe.slurm
        self.outlives = settings.cluster == "slurm"
        if self.outlives and shutil.which("sbatch") is None:
            raise RlAbnError(
                "expected SLURM's sbatch on this machine, got none; run on a login node, or try "
                'the sweep out with cluster = "local" in [slurm]'
            )
        self._out = plan.out.resolve()
        self._threads = machine.threads
        self._device = cluster_device(machine.devices)
        self._stop = self._out / f".stop-{uuid.uuid4().hex[:8]}"
        self._queue: deque[Unit] = deque()
        self._jobs: dict[str, Any] = {}
        self._asked_at = 0.0
        self._room = None if self.outlives else workers or units_that_fit(self._threads)
        self._executor = submitit.AutoExecutor(self._out / "slurm", cluster=settings.cluster)
        parameters: dict[str, Any] = {
            "name": plan.name,
            "timeout_min": settings.minutes,
            "cpus_per_task": machine.threads,
            "gpus_per_node": settings.gpus,
            "mem_gb": settings.memory_gb,
            "slurm_partition": settings.partition,
            "slurm_array_parallelism": workers or 256,
            "slurm_setup": list(settings.setup) or None,
            "slurm_additional_parameters": dict(settings.options) or None,
        }
        given = {key: value for key, value in parameters.items() if value is not None}
        try:
            self._executor.update_parameters(**given)
        except (NameError, TypeError, ValueError) as error:
            raise RlAbnError(f"[slurm]: {brief(error)}") from None

    def submit(self, units: Sequence[Unit]) -> None:
        """Hands units in, as one array.

        Raises:
            RlAbnError: If they cannot be written down, or SLURM refuses them.
        """
        for unit in units:
            write_unit(self._out, unit)
        self._queue.extend(units)
        self._start()

    def poll(self) -> set[str]:
        """Returns the names of the units that ended since."""
        self._start()
        ended = ended_on_cluster(self._out, self._jobs, self._stop)
        now = time.monotonic()
        if not self.outlives or now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            for name, job in self._jobs.items():
                if name not in ended and job.done():
                    # A job that was requeued at its time limit is not done; this one is lost.
                    if not self._stop.exists():
                        settle(self._out, name, _exit_code(job))
                    ended.add(name)
        for name in ended:
            del self._jobs[name]
        if self._stop.exists():
            ended |= {unit.name for unit in self._queue}
            self._queue.clear()
        return ended

    def stop(self) -> None:
        """Asks the running jobs to save and end, and cancels those that wait."""
        self._stop.touch()
        for name, job in self._jobs.items() if self.outlives else ():
            if read_status(self._out / name).state == status.WAITING:
                with suppress(Exception):  # it may just have begun, and then it looks for the file
                    job.cancel()

    def close(self) -> None:
        """Cancels what still runs after it was asked to stop."""
        for job in self._jobs.values() if self._stop.exists() else ():
            with suppress(Exception):
                job.cancel()

    def _start(self) -> None:
        room = None if self._room is None else max(0, self._room - len(self._jobs))
        units = list(self._queue) if room is None else list(self._queue)[:room]
        if not units or self._stop.exists():
            return
        for _ in units:
            self._queue.popleft()
        out, stop = str(self._out), str(self._stop)
        try:
            with self._executor.batch():
                jobs = [
                    self._executor.submit(Job(), out, unit.name, self._threads, self._device, stop)
                    for unit in units
                ]
        except Exception as error:  # whatever SLURM says about it
            raise RlAbnError(f"the jobs cannot be submitted: {brief(error)}") from None
        self._jobs.update(zip([unit.name for unit in units], jobs, strict=True))


def _exit_code(job: Any) -> int:
    """Returns a worker's exit code as its job has it; 1 where the job itself was lost."""
    try:
        code = job.result()
    except Exception:
        return 1
    return code if isinstance(code, int) else 1
