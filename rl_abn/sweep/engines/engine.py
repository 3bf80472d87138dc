"""What an engine is, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

from rl_abn.errors import RlAbnError
from rl_abn.sweep import ENGINES
from rl_abn.sweep.plan import Plan, Unit


class Engine(Protocol):
    """Works on units, each in a worker process of its own.

    Attributes:
        outlives: Whether the units go on when the process that submitted them ends.
    """

    outlives: bool

    def submit(self, units: Sequence[Unit]) -> None:
        """Hands units in and returns at once."""

    def poll(self) -> set[str]:
        """Keeps the work going; returns the names of units that ended since, however they did."""

    def stop(self) -> None:
        """Asks the units that are worked on to save and end, and begins no other."""

    def close(self) -> None:
        """Ends at once what still runs, and frees what the engine has."""


def make_engine(name: str, plan: Plan, workers: int | None) -> Engine:
    """Returns an engine for a sweep.

    Args:
        name: One of `ENGINES`.
        plan: The sweep.
        workers: Units at a time; None is what the sweep's file says.

    Raises:
        RlAbnError: If it cannot work here.
    """
    check_installed(name)
    workers = workers or plan.recipe.machine.workers
    if name == "ray":
        from rl_abn.sweep.engines.ray_tune import RayEngine

        return RayEngine(plan, workers)
    if name == "slurm":
        from rl_abn.sweep.engines.slurm import SlurmEngine

        return SlurmEngine(plan, workers)
    from rl_abn.sweep.engines.local import LocalEngine

    return LocalEngine(plan, workers)


def check_installed(name: str) -> None:
    """Refuses an engine whose package is missing.

    Raises:
        RlAbnError: With what to install.
    """
    package = ENGINES[name]
    if package is not None and find_spec(package) is None:
        raise RlAbnError(
            f"expected {package} for --engine {name}, which is not installed: "
            f"pip install 'rl-abn[{name}]'"
        )
