"""What a worker is told to measure, and what it tells back: plain data, JSON both ways."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["ale", "ale_vec_env", "envpool", "sb3_vec_env", "sb3", "ours", "run"]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class Record(BaseModel):
    """Plain data that does not change; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spec(Record):
    """One measurement to take.

    It times whole units, a rollout with its update or one step of all games, and ends with the
    first unit after which `steps` agent steps and `seconds` seconds are both full.

    Attributes:
        kind: What is measured: an emulator alone ("ale", "ale_vec_env", "envpool",
            "sb3_vec_env"), stable-baselines3's algorithm ("sb3"), one of our agents ("ours"), or
            a whole training of ours into a run folder ("run").
        env: Name or path of the env recipe.
        agent: The agent recipe; for "sb3" the algorithm, ppo or a2c.
        settings: Overrides of the recipes' fields, for "ours" and "run".
        n_envs: Games of an emulator or of "sb3"; 0 is 8, or what "sb3" takes.
        emulator_threads: Threads of an emulator alone; 0 is one a core.
        device: Where the networks run.
        torch_threads: Threads of PyTorch; 0 is its own choice.
        wait_policy: What OpenMP's threads do while they wait: "passive" as `rl-abn` sets it, or
            "default", as in a Python started without it.
        seed: Seed of everything random.
        warm_up: Agent steps that come first and do not count.
        steps: Agent steps to time, at least.
        seconds: Seconds to time, at least.
    """

    kind: Kind
    env: str
    agent: str = ""
    settings: tuple[str, ...] = ()
    n_envs: Count = 0
    emulator_threads: Count = 0
    device: str = "cpu"
    torch_threads: Count = 0
    wait_policy: Literal["default", "passive"] = "passive"
    seed: Count = 0
    warm_up: Count = 1024
    steps: Count = 0
    seconds: Seconds = 0.0


class Measured(Record):
    """What one measurement found.

    Attributes:
        steps: Agent steps timed; one is four emulator frames.
        seconds: How long they took.
        peak_rss_mib: The process's peak memory, MiB.
        peak_cuda_mib: PyTorch's peak memory on the GPU, MiB; None on a CPU.
        load: The machine's load average over the minute before.
        shares: Where the time went, summing to 1; empty for an emulator alone.
        logging_cost: Share of a whole training that metrics, maps and checkpoints take; None for
            what is no whole training.
    """

    steps: int
    seconds: float
    peak_rss_mib: float
    peak_cuda_mib: float | None = None
    load: float = 0.0
    shares: dict[str, float] = {}
    logging_cost: float | None = None

    @property
    def sps(self) -> float:
        """Agent steps a second."""
        return self.steps / self.seconds


class Measurement(Record):
    """A row's measurement in one round.

    Attributes:
        row: Name of the contender.
        round: Number of the round, from 0.
        measured: What was found, or None.
        failure: Why nothing was found, in one line, or None.
    """

    row: str
    round: int
    measured: Measured | None = None
    failure: str | None = None
