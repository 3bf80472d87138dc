"""A vehicle's controls: their names, and how far predicted ones are from the driver's."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.vision.tasks.metrics import mean_over_blocks
from rl_abn.vision.tasks.scores import Column, Row

CONTROLS = ("steering", "throttle")

CONTROL_COLUMNS: Mapping[str, Column] = {
    f"{control}_{error}": Column(
        f"{control} {error.upper()}", brief=error == "mae", along_drive=True
    )
    for control in CONTROLS
    for error in ("mae", "rmse")
}


def score_controls(
    name: str,
    predicted: Float[Tensor, "N C"],
    driven: Float[Tensor, "N 2"],
    blocks: Int64[Tensor, " N"],
) -> Row:
    """Scores controls by their errors, with intervals over stretches of the drive.

    Args:
        name: What the row is called.
        predicted: Steering, and throttle if it is predicted, [N, C].
        driven: The driver's, [N, 2].
        blocks: Which uninterrupted stretch each frame belongs to, [N].
    """
    numbers = {}
    for i, control in enumerate(CONTROLS[: predicted.shape[1]]):
        error = (predicted[:, i] - driven[:, i]).double()
        numbers[f"{control}_mae"] = mean_over_blocks(error.abs(), blocks)
        squared = mean_over_blocks(error.square(), blocks)
        numbers[f"{control}_rmse"] = squared.each(math.sqrt)
    return Row(name, numbers)
