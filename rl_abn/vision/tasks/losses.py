"""What both branches are told about their answers, and what an epoch came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rl_abn.vision.models.network import Answers, VisionAttention
from rl_abn.vision.tasks.metrics import top_k_correct
from rl_abn.vision.tasks.outputs import CONTROLS

CRITERIA: dict[Answers, Callable[[Tensor, Tensor], Tensor]] = {
    "classes": F.cross_entropy,
    "tasks": F.binary_cross_entropy_with_logits,
    "controls": F.mse_loss,
}
"""From outputs and targets to a branch's loss, by what the network answers."""


class Losses(NamedTuple):
    """Losses of a batch, each a scalar.

    Attributes:
        total: perception + branch_coef * branch (Fukui et al., CVPR 2019, equation 2).
        perception: The perception branch's.
        branch: The attention branch's; None for the plain twin.
    """

    total: Tensor
    perception: Tensor
    branch: Tensor | None


def losses_of(
    attention: VisionAttention,
    targets: Shaped[Tensor, "B ..."],
    answers: Answers,
    branch_coef: float,
) -> Losses:
    """Returns cross-entropy for classes, binary cross-entropy for tasks, MSE for controls.

    Args:
        attention: What the network said.
        targets: Classes [B], tasks [B, T] or controls [B, 2].
        answers: Which of these.
        branch_coef: Weight of the branch's loss.
    """
    criterion = CRITERIA[answers]
    perception = criterion(attention.outputs, targets)
    if attention.branch_outputs is None:
        return Losses(perception, perception, None)
    branch = criterion(attention.branch_outputs, targets)
    return Losses(perception + branch_coef * branch, perception, branch)


def right_answers(
    outputs: Float[Tensor, "B K"], targets: Shaped[Tensor, "B ..."], answers: Answers
) -> Bool[Tensor, " B"] | Bool[Tensor, "B K"]:
    """Says which answers are right: of classes [B], of tasks [B, T]."""
    if answers == "tasks":
        return (outputs > 0) == (targets > 0.5)
    return top_k_correct(outputs, targets)


class Tally:
    """Sums over an epoch, on the device: nothing is fetched until it is asked for.

    Args:
        answers: What the network answers.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.n = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, attention: VisionAttention, losses: Losses, targets: Tensor) -> None:
        """Adds a batch."""
        n = len(targets)
        self.n += n
        for name, loss in losses._asdict().items():
            if loss is not None:
                self._add(_LOSS_NAMES[name], n * loss.detach())
        self._add_answers("", attention.outputs.detach(), targets)
        if attention.branch_outputs is not None:
            self._add_answers("branch_", attention.branch_outputs.detach(), targets)

    def values(self) -> dict[str, float]:
        """Returns the means by name."""
        return {name: float(total) / self.n for name, total in self._sums.items()}

    def _add_answers(self, branch: str, outputs: Tensor, targets: Tensor) -> None:
        if self.answers == "controls":
            errors = (outputs - targets).abs().double().sum(dim=0)
            for control, error in zip(CONTROLS, errors, strict=True):
                self._add(f"{branch}{control}_mae", error)
        else:
            right = right_answers(outputs, targets, self.answers).double()
            self._add(f"{branch}accuracy", right.sum() / max(right[0].numel(), 1))

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value


_LOSS_NAMES = {"total": "loss", "perception": "perception_loss", "branch": "branch_loss"}
