"""A vehicle's controls, each a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rl_abn.vision.tasks.controls import CONTROL_COLUMNS, CONTROLS, score_controls
from rl_abn.vision.tasks.metrics import mean_over_blocks
from rl_abn.vision.tasks.scores import Column, Row, Truth
from rl_abn.vision.tasks.task import Task


class Regression(Task):
    """Outputs are controls in -1..1, [B, 2], after tanh; targets are the driver's."""

    name = "regression"
    unit = "controls"
    data_kinds = ("driving",)
    default_for = "driving"
    drives = True
    weighted_pooling = True
    has_sheet = False
    columns: ClassVar[Mapping[str, Column]] = CONTROL_COLUMNS

    def check_names(self, names: Sequence[str]) -> None:
        """Raises ValueError unless there is a name for each control."""
        if len(names) != len(CONTROLS):
            raise ValueError(f"expected {len(CONTROLS)} controls, got {len(names)}")

    def activation(self, logits: Tensor) -> Tensor:
        """Returns the tanh."""
        return logits.tanh()

    def loss(self, outputs: Float[Tensor, "B C"], targets: Float[Tensor, "B C"]) -> Tensor:
        """Returns the mean squared error."""
        return F.mse_loss(outputs, targets)

    def metrics(
        self, outputs: Float[Tensor, "B C"], targets: Float[Tensor, "B C"]
    ) -> dict[str, Tensor]:
        """Returns the absolute errors of each control."""
        errors = (outputs - targets).abs().double().sum(dim=0)
        return {f"{control}_mae": error for control, error in zip(CONTROLS, errors, strict=True)}

    def errors(
        self, outputs: Float[Tensor, "N C"], targets: Float[Tensor, "N C"]
    ) -> Float[Tensor, " N"]:
        """Returns the absolute errors of the steering, [N]."""
        return (outputs - targets)[:, 0].abs()

    def mean_score(self, outputs: Float[Tensor, "N C"], targets: Float[Tensor, "N C"]) -> float:
        """Returns the mean absolute error over all controls."""
        return float((outputs - targets).abs().mean())

    def score(self, name: str, outputs: Float[Tensor, "N C"], truth: Truth) -> Row:
        """Scores each control's MAE and RMSE, with intervals over stretches of the drive."""
        return score_controls(name, outputs, *truth.drive)

    def beside(
        self, row: Row, outputs: Float[Tensor, "N C"], intact: Float[Tensor, "N C"], truth: Truth
    ) -> Row:
        """Returns a row with the difference of its absolute steering errors."""
        driven, blocks = truth.drive
        now, was = ((o[:, 0] - driven[:, 0]).abs() for o in (outputs, intact))
        return row._replace(difference=mean_over_blocks(now - was, blocks))

    def describe(
        self, outputs: Float[Tensor, " C"], target: Float[Tensor, " C"], names: Sequence[str]
    ) -> str:
        """Returns each control beside the driver's."""
        return ", ".join(
            f"{name} {float(outputs[c]):+.2f} (driver: {float(target[c]):+.2f})"
            for c, name in enumerate(CONTROLS[: len(outputs)])
        )
