"""Which checkpoints of a cut training an uninterrupted one has too.

A training that goes on from such a checkpoint ends with the same bytes as one that was never cut.
A checkpoint that was saved because somebody stopped the training, or by time, is none of them: the
games that go on after it would not have been started anew there.
"""

from __future__ import annotations

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.recipes import RunRecipe
from rl_abn.runs import STATE, Checkpoint, Run
from rl_abn.runs.checkpoints import take_away


def barriers(recipe: RunRecipe) -> dict[int, int]:
    """Returns the steps at which an uninterrupted training saves and restarts its games.

    Returns:
        The number of each checkpoint, from 1, by its step.
    """
    agent = recipe.agent
    each = agent.algorithm.n_steps * agent.algorithm.n_envs
    every = agent.steps_between_checkpoints
    steps = range(each, agent.train.steps + each, each)
    due = [step for step in steps if step // every != (step - each) // every]
    return {step: number for number, step in enumerate(due, start=1)}


def exact_checkpoints(run: Run) -> list[Checkpoint]:
    """Returns the run's checkpoints that an uninterrupted training has too, oldest first."""
    numbers = barriers(run.recipe)
    return [found for found in run.checkpoints if _number(found) == numbers.get(found.step, -1)]


def keep_exact_checkpoints(run: Run) -> None:
    """Removes the checkpoints that an uninterrupted training would not have.

    A damaged one stays, for the training to set it aside.
    """
    exact = exact_checkpoints(run)
    for checkpoint in (*run.checkpoints, *run.recoveries):
        if checkpoint not in exact and _number(checkpoint) is not None:
            take_away(checkpoint)


def _number(checkpoint: Checkpoint) -> object:
    """Returns how many checkpoints the run had with this one; None where the file is damaged."""
    try:
        return read_json(checkpoint.path / STATE).get("barrier")
    except RlAbnError:
        return None
