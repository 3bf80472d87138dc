"""Input and output of a benchmark worker, as data that converts to and from JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "ale", "ale_vec_env", "envpool", "sb3_vec_env", "sb3", "ours", "run", "play", "record", "read"
]
GAME_KINDS: tuple[Kind, ...] = ("play", "record", "read")
"""One game at a time, of an untrained agent of ours."""
OUR_KINDS: tuple[Kind, ...] = ("ours", "run", *GAME_KINDS)
"""What takes settings of our recipes."""
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class Record(BaseModel):
    """Immutable data; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spec(Record):
    """One measurement to take.

    Whole units are timed: a rollout with its update, one step of all games, one game played or
    recorded, or one step read from a recording. The measurement ends after the first unit at which
    both `steps` agent steps and `seconds` seconds have passed.

    Attributes:
        kind: What is measured: an emulator alone ("ale", "ale_vec_env", "envpool", "sb3_vec_env"),
            stable-baselines3's algorithm ("sb3"), one of our agents ("ours"), a whole training
            of ours with its run folder ("run"), or one game at a time of an untrained agent of
            ours: played ("play"), recorded ("record"), or read from a recording ("read").
        env: Name or path of the env recipe.
        agent: The agent recipe; for "sb3" the algorithm, ppo or a2c.
        settings: Overrides of the recipes' fields, for all of ours.
        n_envs: Parallel games of an emulator or of "sb3"; 0 is the default, 8 or that of "sb3".
        emulator_threads: Threads of an emulator alone; 0 is one per core.
        device: Where the networks run.
        torch_threads: PyTorch's threads; 0 is PyTorch's default.
        wait_policy: OpenMP's wait policy: "passive", as `rl-abn` sets it, or "default", as in plain
            Python.
        seed: Seed of all random numbers.
        warm_up: Agent steps before the timing starts.
        steps: Minimum number of agent steps to time.
        seconds: Minimum time in seconds.
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
    """The result of one measurement.

    Attributes:
        steps: Agent steps timed; one is four emulator frames.
        seconds: Time they took.
        peak_rss_mib: The process's peak memory, MiB.
        peak_cuda_mib: PyTorch's peak memory on the GPU, MiB; None on a CPU.
        load: The machine's load average over the minute before.
        shares: Share of the time per phase, summing to 1; empty for an emulator alone.
        logging_cost: Share of a whole training spent on metrics, maps and checkpoints; None for
            other kinds.
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
        """Agent steps per second."""
        return self.steps / self.seconds


class Measurement(Record):
    """A row's measurement in one round, from 0: the result, or in one line why it failed."""

    row: str
    round: int
    measured: Measured | None = None
    failure: str | None = None
