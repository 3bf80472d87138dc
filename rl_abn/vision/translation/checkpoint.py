"""A checkpoint is the end of a step: weights, pools, Adam's moments and sums not yet logged.

All that a step draws comes from the run's seed and the step's number, so there is no generator's
state to store.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from rl_abn.errors import RlAbnError
from rl_abn.runs import STATE, Checkpoint
from rl_abn.runs.optimizer import flatten_state
from rl_abn.runs.training_state import Plain, TrainingTensors, read_state, read_tensors
from rl_abn.vision.translation.cyclegan import CycleGan
from rl_abn.vision.translation.prepare import TranslationRun

Sums = dict[str, float]


class _State(Plain):
    """`state.json`."""

    step: Annotated[int, Field(ge=1, lt=2**53)]
    optimizer: dict[str, int | float]
    sums: Sums
    summed: Annotated[int, Field(ge=0, lt=2**53)]


class Unlogged(NamedTuple):
    """Losses since the last row of metrics.

    Attributes:
        sums: By name.
        n: Over so many steps.
    """

    sums: Sums
    n: int


def save(
    run: TranslationRun,
    model: CycleGan,
    optimizer: torch.optim.Optimizer,
    step: int,
    unlogged: Unlogged,
) -> None:
    """Writes a checkpoint, and removes those that are not to be kept.

    Raises:
        RlAbnError: If it cannot be written, or a weight is NaN or infinite.
    """
    moments, scalars = flatten_state(optimizer)
    state = {"step": step, "optimizer": scalars, "sums": unlogged.sums, "summed": unlogged.n}
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    run.save_checkpoint(step, weights, {k: v.cpu() for k, v in moments.items()}, state)
    run.remove_old_checkpoints()


def restore_newest(
    run: TranslationRun, model: CycleGan, optimizer: torch.optim.Optimizer
) -> tuple[int, Unlogged]:
    """Gives networks and optimizer the newest whole checkpoint.

    Returns:
        Steps done, 0 where the run has no checkpoint yet, and what was not logged.

    Raises:
        RlAbnError: If there are checkpoints and none is whole.
    """
    newest = run.newest_whole(lambda checkpoint: _read(checkpoint, model, optimizer))
    if newest is None:
        return 0, Unlogged({}, 0)
    checkpoint, (stored, unlogged) = newest
    stored.load(model, optimizer)
    return checkpoint.step, unlogged


def _read(
    checkpoint: Checkpoint, model: CycleGan, optimizer: torch.optim.Optimizer
) -> tuple[TrainingTensors, Unlogged]:
    state = read_state(checkpoint, _State, "step")
    stored = read_tensors(checkpoint, model, optimizer, state.optimizer)
    for name, tensor in stored.weights.items():
        if name.endswith("pool.count"):
            capacity = len(stored.weights[name.replace("count", "pictures")])
            if not 0 <= int(tensor) <= capacity:
                raise RlAbnError(
                    f"{checkpoint.path / STATE}: expected {name} of 0 to {capacity}, "
                    f"got {int(tensor)}"
                )
    return stored, Unlogged(dict(state.sums), state.summed)
