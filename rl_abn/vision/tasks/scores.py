"""What scoring takes and returns: targets in, numbers with intervals out, and their columns."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from rl_abn.estimates import Estimate
from rl_abn.vision.data.steering import SteeringBins


class Truth(NamedTuple):
    """What is right for N examples, on the CPU.

    Attributes:
        targets: As the loss takes them: classes [N], labels [N, T] or controls [N, 2].
        driven: The driver's controls, [N, 2]; of a drive's frames alone.
        blocks: Which uninterrupted stretch each frame belongs to, [N]; of a drive's frames alone.
        bins: What the classes of steering stand for; None where they are no steering.
    """

    targets: Shaped[Tensor, "N ..."]
    driven: Float[Tensor, "N 2"] | None = None
    blocks: Int64[Tensor, " N"] | None = None
    bins: SteeringBins | None = None

    @property
    def drive(self) -> tuple[Float[Tensor, "N 2"], Int64[Tensor, " N"]]:
        """The driver's controls and the stretches, of a drive's frames."""
        assert self.driven is not None
        assert self.blocks is not None
        return self.driven, self.blocks


class Row(NamedTuple):
    """The scores of one branch, of an ablated network or of a baseline.

    Attributes:
        name: Whose they are.
        numbers: By name: top_1, top_5, ece, accuracy, steering_mae, steering_rmse, …; those
            without an interval have None at its ends.
        difference: Of the first number to the intact network's; None for that network itself.
        intervention: What was done to its maps, if anything.
        stayed: Share of predictions equal to the intact network's; None for that network, and
            where predictions are continuous.
    """

    name: str
    numbers: dict[str, Estimate]
    difference: Estimate | None = None
    intervention: str | None = None
    stayed: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Returns the row as plain data."""
        return {
            **self._asdict(),
            "numbers": {name: number._asdict() for name, number in self.numbers.items()},
            "difference": self.difference and self.difference._asdict(),
        }


class Column(NamedTuple):
    """How a table shows a number.

    Attributes:
        heading: Above it.
        share: Whether it is a share, shown in per cent.
        brief: Whether short tables show it too.
        along_drive: Whether its interval is over blocks of a drive's frames.
    """

    heading: str
    share: bool = False
    brief: bool = False
    along_drive: bool = False


def mean_over_pictures(values: Float[Tensor, " N"]) -> Estimate:
    """Returns a mean over pictures with its normal interval; none from a single picture."""
    mean = float(values.double().mean())
    if len(values) < 2:
        return Estimate(mean, None, None)
    half = 1.96 * float(values.double().std()) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def softmax(logits: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """Returns probabilities in double precision."""
    return torch.softmax(logits.double(), dim=1)
