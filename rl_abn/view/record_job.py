"""Records a game of a run, asked for from the page."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from rich.console import Console

from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.rl.evaluation.interventions import InterventionSpec, read_interventions
from rl_abn.rl.evaluation.record import EPISODES, record_run
from rl_abn.rl.evaluation.recording import RecordedGame
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.view.bodies import Body
from rl_abn.view.edits import check_no_link
from rl_abn.view.jobs import Job, StoppedError

MOST_STEPS = 20_000
STEPS = 2_000
"""At most, where nothing is said."""


class RecordQuestion(NamedTuple):
    """Which game is to be recorded; as `rl-abn record` has it."""

    checkpoint: CheckpointChoice
    seed: int
    greedy: bool
    max_steps: int
    intervention: InterventionSpec | None


class JobReport(ProgressReport):
    """Tells a job how far a recording is, and ends it where the job is stopped.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        super().__init__("", None, "steps", console=Console(file=io.StringIO()))
        self.job = job

    def update(self, done: int, **numbers: object) -> None:
        """Tells how far it is.

        Raises:
            StoppedError: If the job is stopped.
        """
        self.job.update(done, f"recording: score {numbers.get('score', 0)}")


def read_record_question(data: dict[str, Any], run: Run) -> RecordQuestion:
    """Reads which game is to be recorded.

    Raises:
        RlAbnError: If something is wrong or out of range.
    """
    body = Body(data, ("checkpoint", "seed", "intervention", "greedy", "max_steps"))
    choice: CheckpointChoice = None
    if body.data.get("checkpoint") == "best":
        choice = "best"
    elif body.has("checkpoint"):
        choice = body.whole("checkpoint", 0, 2**53)
    run.checkpoint(choice)
    specs: list[InterventionSpec] = []
    if body.has("intervention"):
        label = body.text("intervention", 60)
        specs = read_interventions([label], run.recipe.agent_name, run.recipe.agent)
        if len(specs) != 1:
            raise RlAbnError(f"expected one intervention, got {label!a}, which is {len(specs)}")
    return RecordQuestion(
        checkpoint=choice,
        seed=body.whole("seed", 0, 2**31 - 1, 0),
        greedy=body.flag("greedy"),
        max_steps=body.whole("max_steps", 1, MOST_STEPS, STEPS),
        intervention=specs[0] if specs else None,
    )


def record(run: Run, question: RecordQuestion, job: Job) -> RecordedGame:
    """Records the game into the run's episodes/, beside what is there.

    Raises:
        StoppedError: If the job is stopped; the recording so far is kept, and the message says so.
        RlAbnError: If it cannot be recorded.
    """
    check_no_link(run.path / EPISODES)
    games = record_run(
        run,
        on_exists="new",
        intervention=question.intervention,
        greedy=question.greedy,
        max_steps=question.max_steps,
        step=question.checkpoint,
        seed=question.seed,
        report=JobReport(job),
    )
    try:
        return next(games)
    except StoppedError:
        raise StoppedError("stopped: the steps so far are kept among the episodes") from None
