"""How well a classifier knows how sure it can be: the numbers by branch, and their diagram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_abn.render.reliability import ReliabilityPanel, draw_reliability
from rl_abn.vision.evaluation.predict import Predictions, Samples
from rl_abn.vision.evaluation.scores import reliability_json, softmax

_NAMES = {
    "plain": "perception branch",
    "attention_branch": "attention branch",
    "bayesian": "Bayesian",
}


def calibration(own: Predictions, sampled: Samples | None = None) -> dict[str, dict[str, Any]]:
    """Returns the numbers of reliability diagrams, as plain data.

    Args:
        own: A classifier's answers.
        sampled: Its answers under MC dropout, if it was sampled.

    Returns:
        By name: "plain" of the perception branch, "attention_branch" where there is one, and
        "bayesian" where it was sampled.
    """
    probabilities = {"plain": softmax(own.outputs)}
    if own.branch_outputs is not None:
        probabilities["attention_branch"] = softmax(own.branch_outputs)
    if sampled is not None:
        probabilities["bayesian"] = sampled.probabilities
    return {name: reliability_json(p, own.targets) for name, p in probabilities.items()}


def draw_calibration(numbers: Mapping[str, Mapping[str, Any]], title: str) -> bytes:
    """Draws what `calibration` returns, a panel each, as a PNG.

    Args:
        numbers: The numbers by name.
        title: The line at the top.
    """
    panels = [ReliabilityPanel(_NAMES.get(name, name), **shown) for name, shown in numbers.items()]
    return draw_reliability(panels, title)
