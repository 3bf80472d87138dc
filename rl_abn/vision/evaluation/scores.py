"""From answers to numbers with intervals: a row a branch, a changed network or a baseline."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from rl_abn.estimates import Estimate
from rl_abn.vision.models.network import Answers
from rl_abn.vision.tasks.losses import right_answers
from rl_abn.vision.tasks.metrics import (
    Reliability,
    accuracy,
    mean_over_blocks,
    reliability,
    top_k_correct,
)
from rl_abn.vision.tasks.outputs import CONTROLS

TOP_5_FROM = 10
_SQUARED = "rmse"


class Row(NamedTuple):
    """How good some answers are.

    Attributes:
        name: Whose they are.
        numbers: By name: top_1, top_5, ece, accuracy, steering_mae, steering_rmse, …; those
            without an interval have None at its ends.
        difference: Of the first number to the intact network's; None for that network itself.
        intervention: What was done to its maps, if anything.
        stayed: Share of answers that are the intact network's; None for that network, and for
            controls.
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


def score_classes(
    name: str, probabilities: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]
) -> Row:
    """Scores answers of one of K classes; top-5 from ten classes on.

    Args:
        name: Whose they are.
        probabilities: [N, K].
        targets: [N].
    """
    numbers = {"top_1": accuracy(top_k_correct(probabilities, targets))}
    if probabilities.shape[1] >= TOP_5_FROM:
        numbers["top_5"] = accuracy(top_k_correct(probabilities, targets, 5))
    error = reliability(probabilities, targets).expected_error
    numbers["ece"] = Estimate(error, None, None)
    return Row(name, numbers)


def score_tasks(name: str, logits: Float[Tensor, "N T"], targets: Float[Tensor, "N T"]) -> Row:
    """Scores T yes-or-no answers a picture, with an interval over pictures.

    Args:
        name: Whose they are.
        logits: [N, T].
        targets: 0 or 1, [N, T].
    """
    right = right_answers(logits, targets, "tasks").double()
    worst = right.mean(dim=0).min()
    return Row(
        name,
        {"accuracy": _mean(right.mean(dim=1)), "worst_task": Estimate(float(worst), None, None)},
    )


def score_controls(
    name: str,
    predicted: Float[Tensor, "N C"],
    driven: Float[Tensor, "N 2"],
    blocks: Int64[Tensor, " N"],
) -> Row:
    """Scores controls by their errors, with intervals over stretches of the drive.

    Args:
        name: Whose they are.
        predicted: Steering, and throttle if it is predicted, [N, C].
        driven: The driver's, [N, 2].
        blocks: Which uninterrupted stretch each frame belongs to.
    """
    numbers = {}
    for i, control in enumerate(CONTROLS[: predicted.shape[1]]):
        error = (predicted[:, i] - driven[:, i]).double()
        numbers[f"{control}_mae"] = mean_over_blocks(error.abs(), blocks)
        squared = mean_over_blocks(error.square(), blocks)
        numbers[f"{control}_{_SQUARED}"] = squared.each(math.sqrt)
    return Row(name, numbers)


def beside(
    row: Row,
    intact: Row,
    answers: Answers,
    changed: Shaped[Tensor, "N ..."],
    own: Shaped[Tensor, "N ..."],
    targets: Shaped[Tensor, "N ..."],
) -> Row:
    """Returns a changed network's row beside the intact one's, picture by picture.

    Args:
        row: The changed network's.
        intact: The intact network's.
        answers: What both answer, classes or tasks.
        changed: Its answers, [N, K].
        own: The intact network's, [N, K].
        targets: What was right.
    """
    was, now = (right_answers(o, targets, answers).double() for o in (own, changed))
    gaps = now - was if answers == "classes" else (now - was).mean(dim=1)
    if answers == "classes":
        same = changed.argmax(dim=1) == own.argmax(dim=1)
    else:
        same = (changed > 0) == (own > 0)
    return row._replace(difference=_mean(gaps), stayed=float(same.double().mean()))


def beside_controls(
    row: Row,
    changed: Float[Tensor, "N C"],
    own: Float[Tensor, "N C"],
    driven: Float[Tensor, "N 2"],
    blocks: Int64[Tensor, " N"],
) -> Row:
    """Returns a row with the difference of its steering error to the intact network's."""
    now, was = ((answer[:, 0] - driven[:, 0]).abs() for answer in (changed, own))
    return row._replace(difference=mean_over_blocks(now - was, blocks))


def reliability_json(
    probabilities: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]
) -> dict[str, Any]:
    """Returns the numbers of a reliability plot as plain data."""
    found: Reliability = reliability(probabilities, targets)
    return {
        **{
            # Empty bins have neither confidence nor accuracy.
            name: [None if math.isnan(value) else value for value in values.tolist()]
            for name, values in found._asdict().items()
        },
        "expected_error": found.expected_error,
    }


def _mean(values: Float[Tensor, " N"]) -> Estimate:
    """A mean over pictures with its normal interval; none from a single picture."""
    mean = float(values.double().mean())
    if len(values) < 2:
        return Estimate(mean, None, None)
    half = 1.96 * float(values.double().std()) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def softmax(logits: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """Returns probabilities in double precision."""
    return torch.softmax(logits.double(), dim=1)
