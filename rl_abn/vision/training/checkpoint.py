"""A checkpoint is the end of an epoch: all that decides what comes next is stored or derived.

An epoch's order, augmentation and dropout come from the run's seed and the epoch's number. So
weights, the optimizer's moments and that number are all there is to store.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from rl_abn.runs import Checkpoint
from rl_abn.runs.optimizer import flatten_state
from rl_abn.runs.training_state import Plain, TrainingTensors, read_state, read_tensors
from rl_abn.vision.training.build import VisionRun


class _State(Plain):
    """`state.json`."""

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


def snapshot(network: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Snapshot:
    """Copies what a training is at the end of an epoch."""
    moments, scalars = flatten_state(optimizer)
    return Snapshot(epoch, _copied(network.state_dict()), _copied(moments), scalars)


def restore_newest(run: VisionRun, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Gives a network and its optimizer the newest whole checkpoint.

    Returns:
        Epochs done; 0 where the run has no checkpoint yet.

    Raises:
        RlAbnError: If there are checkpoints and none is whole.
    """
    newest = run.newest_whole(lambda checkpoint: read(checkpoint, network, optimizer))
    if newest is None:
        return 0
    checkpoint, stored = newest
    stored.load(network, optimizer)
    return checkpoint.step


def read(
    checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingTensors:
    """Reads and checks everything a checkpoint stores, and changes nothing.

    Raises:
        RlAbnError: If it is damaged or not this network's.
    """
    state = read_state(checkpoint, _State, "epoch")
    return read_tensors(checkpoint, network, optimizer, state.optimizer)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
