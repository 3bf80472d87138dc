"""Works on units as trials of Ray Tune, on this machine or a cluster."""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.compute.processor import usable_cores
from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief, kind_and_reason
from rl_abn.sweep import status
from rl_abn.sweep.engines.child import (
    cluster_device,
    ended_on_cluster,
    work_on_cluster,
    write_unit,
)
from rl_abn.sweep.plan import Plan, Unit
from rl_abn.sweep.status import read_status

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
}


def trial(config: Mapping[str, Any]) -> None:
    """Works on one unit in a trial, and reports how it ended."""
    from ray import tune

    keys = ("out", "unit", "threads", "device", "stop")
    code = work_on_cluster(*(config[key] for key in keys))
    end = read_status(Path(config["out"]) / config["unit"])
    mean = math.nan if end.mean_return is None else end.mean_return
    tune.report({"exit_code": code, "step": end.step, "mean_return": mean})


class RayEngine:
    """Trials of Ray Tune, one a unit.

    Args:
        plan: The sweep.
        workers: Units at a time; None is as many as there is room for.

    Raises:
        RlAbnError: If Ray cannot be started or reached.
    """

    outlives = False

    def __init__(self, plan: Plan, workers: int | None) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        import ray

        self._out = plan.out.resolve()
        self._machine, self._settings = plan.recipe.machine, plan.recipe.ray
        self._workers = workers
        self._session = uuid.uuid4().hex[:8]
        self._stop = self._out / f".stop-{self._session}"
        self._pending: set[str] = set()
        self._tuners: list[tuple[threading.Thread, set[str]]] = []
        self._errors: dict[str, str] = {}
        try:
            if self._settings.address is None:
                cores = usable_cores()
                if workers is not None:  # as many trials as were asked for, however few cores
                    cores = max(cores, workers * self._machine.threads)
                ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
            else:
                ray.init(address=self._settings.address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RlAbnError(
                f"expected Ray to start or to be reached, got: {brief(error)}"
            ) from None

    def submit(self, units: Sequence[Unit]) -> None:
        """Hands units in as trials of an experiment.

        Raises:
            RlAbnError: If they cannot be written down.
        """
        for unit in units:
            write_unit(self._out, unit)
        names = {unit.name for unit in units}
        self._pending |= names
        number = len(self._tuners)
        fit = threading.Thread(
            target=self._fit, args=([unit.name for unit in units], number), daemon=True
        )
        self._tuners.append((fit, names))
        fit.start()

    def poll(self) -> set[str]:
        """Returns the names of the units that ended since."""
        ended = ended_on_cluster(self._out, self._pending, self._stop)
        if self._stop.exists():
            ended |= self._pending - _worked_on(self._out, self._pending)
        for fit, names in self._tuners:
            if not fit.is_alive():
                # Whose trial Ray lost, or never began.
                for name in (names & self._pending) - ended:
                    if not self._stop.exists():
                        message = self._errors.get(name, "Ray ended before it did")
                        with suppress(RlAbnError):
                            status.change_status(
                                self._out / name, state=status.FAILED, message=message
                            )
                    ended.add(name)
        self._pending -= ended
        return ended

    def stop(self) -> None:
        """Asks the trials to save and end."""
        self._stop.touch()

    def close(self) -> None:
        """Shuts Ray down, where it was started here, and its trials with it."""
        import ray

        if all(not names & self._pending for _, names in self._tuners):
            for fit, _ in self._tuners:
                fit.join(timeout=30)  # it writes down its results
        ray.shutdown()
        self._stop.unlink(missing_ok=True)

    def _fit(self, names: list[str], number: int) -> None:
        from ray import tune

        resources: dict[str, float] = {"cpu": self._machine.threads}
        if self._settings.gpus:
            resources["gpu"] = self._settings.gpus
        space = {
            "unit": tune.grid_search(names),
            "out": str(self._out),
            "threads": self._machine.threads,
            "device": cluster_device(self._machine.devices),
            "stop": str(self._stop),
        }
        try:
            results = tune.Tuner(
                tune.with_resources(trial, resources),
                param_space=space,
                tune_config=tune.TuneConfig(max_concurrent_trials=self._workers),
                run_config=tune.RunConfig(
                    name=f"{self._session}-{number}",
                    storage_path=str(self._out / "ray"),
                    # A machine that is lost costs no unit: it goes on elsewhere.
                    stop=_make_stopper(self._out, names, self._stop),
                    failure_config=tune.FailureConfig(max_failures=2),
                    verbose=0,
                ),
            ).fit()
            for result in results:
                if result.error is not None and result.config is not None:
                    lines = str(result.error).strip().splitlines() or ["no reason given"]
                    self._errors[result.config["unit"]] = f"Ray: {lines[-1]}"
        except Exception as error:  # in a thread, where nobody would see it
            message = f"Ray: {kind_and_reason(error)}"
            self._errors.update(dict.fromkeys(names, message))


def _make_stopper(out: Path, names: Sequence[str], stop: Path) -> Any:
    """Returns what ends an experiment once its units are to stop and those that ran have saved.

    Without it every trial that waits would be begun, only to find that it has to end.
    """
    from ray import tune

    class Stopper(tune.Stopper):
        def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return stop.exists() and not _worked_on(out, names)

    return Stopper()


def _worked_on(out: Path, names: Iterable[str]) -> set[str]:
    states = (status.TRAINING, status.EVALUATING)
    return {name for name in names if read_status(out / name).state in states}
