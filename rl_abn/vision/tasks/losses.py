"""The loss of both branches, and its means over an epoch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor

from rl_abn.vision.models.network import VisionAttention
from rl_abn.vision.tasks.task import Task


class Losses(NamedTuple):
    """Losses of a batch, each a scalar.

    Attributes:
        total: perception + branch_coef * branch (Fukui et al., CVPR 2019, equation 2).
        perception: The perception branch's.
        branch: The attention branch's; None for the no-attention baseline.
    """

    total: Tensor
    perception: Tensor
    branch: Tensor | None


def losses_of(
    attention: VisionAttention, targets: Shaped[Tensor, "B ..."], task: Task, branch_coef: float
) -> Losses:
    """Returns the losses of both branches.

    Args:
        attention: The network's outputs.
        targets: What is right, as the task's loss takes it.
        task: What the network is trained to do.
        branch_coef: Weight of the branch's loss.
    """
    perception = task.loss(attention.outputs, targets)
    if attention.branch_outputs is None:
        return Losses(perception, perception, None)
    branch = task.loss(attention.branch_outputs, targets)
    return Losses(perception + branch_coef * branch, perception, branch)


class Tally:
    """Sums over an epoch, on the device: nothing is fetched until it is asked for.

    Args:
        task: What the network is trained to do.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.n = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, attention: VisionAttention, losses: Losses, targets: Tensor) -> None:
        """Adds a batch."""
        n = len(targets)
        self.n += n
        for name, loss in losses._asdict().items():
            if loss is not None:
                self._add(_LOSS_NAMES[name], n * loss.detach())
        for prefix, outputs in (("", attention.outputs), ("branch_", attention.branch_outputs)):
            if outputs is not None:
                for name, value in self.task.metrics(outputs.detach(), targets).items():
                    self._add(f"{prefix}{name}", value)

    def values(self) -> dict[str, float]:
        """Returns the means by name."""
        return {name: float(total) / self.n for name, total in self._sums.items()}

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value


_LOSS_NAMES = {"total": "loss", "perception": "perception_loss", "branch": "branch_loss"}
