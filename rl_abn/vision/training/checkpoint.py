"""A checkpoint is the end of an epoch: all that decides what comes next is stored or derived.

An epoch's order, augmentation and dropout come from the run's seed and the epoch's number. So
weights, the optimizer's moments and that number are all there is to store.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.recipes.overrides import validate
from rl_abn.runs import (
    STATE,
    TRAINING,
    Checkpoint,
    bytes_of,
    load_tensors,
    read_json,
    read_weights,
)
from rl_abn.runs.optimizer import OptimizerState, flatten_state, load_state, unflatten_state
from rl_abn.vision.models.network import VisionNetwork
from rl_abn.vision.training.build import VisionRun


class _State(BaseModel):
    """`state.json`."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    epoch: Annotated[int, Field(ge=1, lt=2**53)]
    optimizer: dict[str, int | float]


class Snapshot(NamedTuple):
    """The end of an epoch, on the CPU.

    Attributes:
        epoch: Epochs done.
        weights: The network's state dict.
        moments: The optimizer's tensors, by name.
        scalars: What else it remembers.
    """

    epoch: int
    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    scalars: dict[str, int | float]

    def save(self, run: VisionRun) -> Checkpoint:
        """Writes it as a checkpoint, and removes those that are not to be kept.

        Raises:
            RlAbnError: If it cannot be written.
        """
        state = {"epoch": self.epoch, "optimizer": self.scalars}
        saved = run.save_checkpoint(self.epoch, self.weights, self.moments, state)
        run.remove_old_checkpoints()
        return saved


class Stored(NamedTuple):
    """All of a checkpoint, read and checked."""

    epoch: int
    weights: dict[str, Tensor]
    optimizer: OptimizerState


def snapshot(network: VisionNetwork, optimizer: torch.optim.Optimizer, epoch: int) -> Snapshot:
    """Copies what a training is at the end of an epoch."""
    moments, scalars = flatten_state(optimizer)
    return Snapshot(epoch, _copied(network.state_dict()), _copied(moments), scalars)


def restore_newest(run: VisionRun, network: VisionNetwork, optimizer: torch.optim.Optimizer) -> int:
    """Gives a network and its optimizer the newest whole checkpoint.

    Returns:
        Epochs done; 0 where the run has no checkpoint yet.

    Raises:
        RlAbnError: If there are checkpoints and none is whole.
    """
    newest = run.newest_whole(lambda checkpoint: read(checkpoint, network, optimizer))
    if newest is None:
        return 0
    _, stored = newest
    network.load_state_dict(stored.weights)
    load_state(optimizer, stored.optimizer)
    return stored.epoch


def read(
    checkpoint: Checkpoint, network: VisionNetwork, optimizer: torch.optim.Optimizer
) -> Stored:
    """Reads and checks everything a checkpoint stores, and changes nothing.

    Raises:
        RlAbnError: If it is damaged or not this network's.
    """
    path = checkpoint.path / STATE
    state = validate(_State, read_json(path), str(path))
    if state.epoch != checkpoint.step:
        raise RlAbnError(
            f"{path}: expected epoch {checkpoint.step}, as the folder is named, got {state.epoch}"
        )
    weights = read_weights(checkpoint, network.state_dict())
    path = checkpoint.path / TRAINING
    # No optimizer here keeps four times the weights.
    moments = load_tensors(path, most_bytes=4 * bytes_of(weights.values()) + 2**20)
    stored = unflatten_state(
        optimizer,
        moments,
        state.optimizer,
        tensors_path=path,
        scalars_path=checkpoint.path / STATE,
    )
    return Stored(state.epoch, weights, stored)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
