"""Schema of a sweep's file: which games, agents, settings and seeds, and how they are trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rl_abn.protocols import BlindControl, ProtocolName, blindnesses
from rl_abn.recipes.lookup import read_toml
from rl_abn.recipes.options import Option
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Count, Label, NotNegative, Positive, Table

MOST_SEEDS = 1000
_ARM_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


def _seeds(value: object) -> object:
    """Turns a number of seeds into the seeds 0, 1, ….

    Raises:
        ValueError: For anything but a number of seeds or a list of different ones.
    """
    expected = "a number of seeds from 1 to 1000, or a list of different seeds from 0"
    if type(value) is int and 1 <= value <= MOST_SEEDS:
        return tuple(range(value))
    if isinstance(value, list | tuple) and 1 <= len(value) <= MOST_SEEDS:
        are_seeds = all(type(seed) is int and 0 <= seed < 2**31 for seed in value)
        if are_seeds and len({*value}) == len(value):
            return tuple(value)
    raise ValueError(f"expected {expected}, got {value!r}")


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("expected one name or more, got none")
    if len({*names}) < len(names):
        raise ValueError(f"expected different names, got {list(names)}")
    return names


Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds)]
Names = Annotated[tuple[Label, ...], Field(strict=False), AfterValidator(_some)]
Settings = Annotated[tuple[Label, ...], Field(strict=False)]


class Arm(Table):
    """Settings that are compared with others; a plain list of settings is short for it.

    Attributes:
        set: Overrides such as "algorithm.gamma=0.995".
        games: The games it is trained on; None is all of the sweep's.
        agents: The agents it is for; None is all of the sweep's.
    """

    set: Settings = ()
    games: Names | None = None
    agents: Names | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, arm: object) -> object:
        return {"set": arm} if isinstance(arm, list) else arm


class EvalTable(Table):
    """How each trained agent is evaluated; the fields mean what the options of `rl-abn eval` do.

    Attributes:
        interventions: Only agents with maps play under them.
    """

    episodes: Annotated[int, Field(ge=1, le=100_000)] = 30
    interventions: Settings = ()
    blind: BlindControl = "frozen"
    greedy: bool = False
    random: bool = False
    protocol: ProtocolName | None = None
    max_steps: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _screens_can_be_swapped(self) -> Self:
        if "swapped" in blindnesses(self.blind) and self.episodes < 2:
            raise ValueError(f"expected 2 episodes or more to swap screens, got {self.episodes}")
        return self


class MachineTable(Table):
    """How the trainings share a machine.

    Attributes:
        workers: Trainings at a time; None is as many as there are cores for on one machine, and
            no limit on a cluster.
        threads: Threads that each of them computes with.
        devices: Where the networks run, such as ["cuda:0", "cuda:1"]: on one machine a training
            starts on the device that has the fewest.
        nice: How far they give way to other processes, 0 to 19.
        exact: Whether a training that was cut goes on from a checkpoint that an uninterrupted one
            has too, so that it ends with the same bytes. False goes on from the newest checkpoint.
    """

    workers: Count | None = None
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    devices: Names = ("auto",)
    nice: Annotated[int, Field(ge=0, le=19)] = 5
    exact: bool = True


class RayTable(Table):
    """How Ray runs the trainings.

    Attributes:
        address: A cluster's, or "auto" for the one this machine belongs to; None starts Ray here.
        gpus: GPUs of a training; 0.25 lets four share one.
    """

    address: str | None = None
    gpus: NotNegative = 0.0


class SlurmTable(Table):
    """What SLURM is asked for, for each training.

    Attributes:
        partition: Of the cluster; None is its default.
        minutes: Time limit. At its end the training is put into the queue again.
        gpus: GPUs.
        memory_gb: Memory; None is the cluster's default.
        setup: Shell lines before the training, such as "module load cuda".
        options: More options of sbatch, such as account = "lab".
        cluster: "local" runs the jobs here without SLURM, to try a sweep out.
    """

    partition: str | None = None
    minutes: Annotated[int, Field(ge=1, le=10**6)] = 24 * 60
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_gb: Positive | None = None
    setup: Annotated[tuple[str, ...], Field(strict=False)] = ()
    options: dict[str, Option] = Field(default_factory=dict)
    cluster: Literal["slurm", "local"] = "slurm"


class SweepRecipe(Table):
    """A sweep: every game with every agent in every arm, from every seed.

    Attributes:
        games: Names, ids or paths, as `--env` takes them; a path is relative to the file.
        agents: Names or paths.
        seeds: How many, or which.
        steps: Agent steps of each training; None is what the agent's recipe says.
        set: Overrides for all.
        arms: Overrides to compare, by name; None trains the agents as they are.
        eval: How the trained agents are evaluated; None is not at all.
    """

    games: Names
    agents: Names
    seeds: Seeds
    steps: Count | None = None
    set: Settings = ()
    arms: dict[str, Arm] | None = None
    eval: EvalTable | None = None
    machine: MachineTable = MachineTable()
    ray: RayTable = RayTable()
    slurm: SlurmTable = SlurmTable()

    @model_validator(mode="after")
    def _arms_are_named(self) -> Self:
        if self.arms is None:
            return self
        if not self.arms:
            raise ValueError("arms: expected one arm or more, got none: leave [arms] out")
        for name, arm in self.arms.items():
            if re.fullmatch(_ARM_NAME, name) is None:
                raise ValueError(
                    f"arms: expected names of letters, digits, '-', '_' and '.', got {name!r}"
                )
            _check_known(f"arms.{name}.games", arm.games, self.games)
            _check_known(f"arms.{name}.agents", arm.agents, self.agents)
        return self

    @property
    def named_arms(self) -> Mapping[str, Arm]:
        """The arms by name; one called "" where the sweep compares no settings."""
        return {"": Arm()} if self.arms is None else self.arms


def _check_known(field: str, names: tuple[str, ...] | None, known: tuple[str, ...]) -> None:
    for name in names or ():
        if name not in known:
            raise ValueError(f"{field}: expected some of the sweep's {list(known)}, got '{name}'")


def read_sweep(path: Path) -> SweepRecipe:
    """Reads a sweep's file.

    Raises:
        RlAbnError: If it cannot be read or is no sweep.
    """
    return validate(SweepRecipe, read_toml(path), str(path))
