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
        total: perception + branch_coef * branch (Fukui et al., CVPR 2019, equation 2), and that of
            the mechanism.
        perception: The perception branch's.
        branch: The attention branch's; None for the no-attention baseline.
        mechanism: What the mechanism adds for its own sake, and REINFORCE where it samples; None
            for most.
    """

    total: Tensor
    perception: Tensor
    branch: Tensor | None
    mechanism: Tensor | None = None


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
    losses = Losses(perception, perception, None)
    if attention.branch_outputs is not None:
        branch = task.loss(attention.branch_outputs, targets)
        losses = losses._replace(total=perception + branch_coef * branch, branch=branch)
    own = [] if attention.own_loss is None else [attention.own_loss.mean()]
    if attention.log_prob is not None:
        own.append(_reinforce(attention.outputs, attention.log_prob, targets, task))
    if not own:
        return losses
    mechanism = torch.stack(own).sum()
    return losses._replace(total=losses.total + mechanism, mechanism=mechanism)


def _reinforce(outputs: Tensor, log_prob: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Returns a loss whose gradient is that of the expected loss by the sampled locations.

    Each example's own loss less the mean of the batch's others (in place of a moving mean, Xu et
    al., ICML 2015, section 4.1), times the log-probability of its locations.
    """
    with torch.no_grad():
        each = torch.stack(
            [task.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(len(targets))]
        )
        n_others = max(len(each) - 1, 1)
        worse = each - (each.sum() - each) / n_others if len(each) > 1 else torch.zeros_like(each)
    return (worse * log_prob).mean()


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
_LOSS_NAMES["mechanism"] = "mechanism_loss"
