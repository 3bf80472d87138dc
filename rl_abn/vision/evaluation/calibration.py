"""How well a classifier knows how sure it can be: the numbers by branch, and their diagram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.render.reliability import ReliabilityPanel, draw_reliability
from rl_abn.vision.evaluation.predict import Predictions, Samples
from rl_abn.vision.tasks.metrics import reliability
from rl_abn.vision.tasks.scores import softmax

_NAMES = {
    "plain": "perception branch",
    "attention_branch": "attention branch",
    "bayesian": "Bayesian",
}


def calibration(own: Predictions, sampled: Samples | None = None) -> dict[str, dict[str, Any]]:
    """Returns the numbers of reliability diagrams, as plain data.

    Args:
        own: A classifier's outputs.
        sampled: Its predictions under MC dropout, if it was sampled.

    Returns:
        By name: "plain" of the perception branch, "attention_branch" where there is one, and
        "bayesian" where it was sampled.
    """
    probabilities = {"plain": softmax(own.outputs)}
    if own.branch_outputs is not None:
        probabilities["attention_branch"] = softmax(own.branch_outputs)
    if sampled is not None:
        probabilities["bayesian"] = sampled.probabilities
    return {name: _as_json(p, own.targets) for name, p in probabilities.items()}


def _as_json(probabilities: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]) -> dict[str, Any]:
    found = reliability(probabilities, targets)
    return {
        **{
            # Empty bins have neither confidence nor accuracy.
            name: [None if math.isnan(value) else value for value in values.tolist()]
            for name, values in found._asdict().items()
        },
        "expected_error": found.expected_error,
    }


def draw_calibration(numbers: Mapping[str, Mapping[str, Any]], title: str) -> bytes:
    """Draws what `calibration` returns, a panel each, as a PNG.

    Args:
        numbers: The numbers by name.
        title: The line at the top.
    """
    panels = [ReliabilityPanel(_NAMES.get(name, name), **shown) for name, shown in numbers.items()]
    return draw_reliability(panels, title)
