"""Statistics of game scores, with 95% intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_abn.estimates import Estimate, bootstrap, estimate
from rl_abn.recipes.env import Scores


class Difference(NamedTuple):
    """A difference of means and its 95% bootstrap interval.

    Attributes:
        value: The mean minus the reference's mean.
        low: Lower end; None if either has fewer than two games.
        high: Upper end; None if either has fewer than two games.
        share: The difference divided by the reference's absolute value, so -0.5 is a loss of half;
            None if the reference is 0.
    """

    value: float
    low: float | None
    high: float | None
    share: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def __format__(self, form: str) -> str:
        return f"{Estimate(self.value, self.low, self.high):+{form or '.1f'}}"

    def __str__(self) -> str:
        return format(self)


def interquartile_mean(scores: np.ndarray, seed: int = 0) -> Estimate:
    """Estimates the interquartile mean of scores [N] (Agarwal et al., NeurIPS 2021)."""
    return estimate(scores, _iqm, seed)


def difference(scores: np.ndarray, reference: np.ndarray, seed: int = 0) -> Difference:
    """Estimates the mean of scores [N] minus the mean of reference [M].

    The two are treated as independent samples even if their games start from the same seeds: after
    a few steps the players are in different states.
    """
    base = float(np.mean(reference))
    value = float(np.mean(scores)) - base
    share = value / abs(base) if base else None
    if min(len(scores), len(reference)) < 2:
        return Difference(value, None, None, share)
    return Difference(value, *bootstrap((scores, reference), _mean_difference, seed), share)


def human_normalised(score: float, scores: Scores) -> float:
    """Returns the human-normalised score: 0 is random, 1 human (Mnih et al. 2015)."""
    return (score - scores.random) / (scores.human - scores.random)


def _iqm(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    from scipy import stats

    trimmed: np.ndarray = stats.trim_mean(scores, 0.25, axis=axis)
    return trimmed


def _mean_difference(
    scores: np.ndarray, reference: np.ndarray, axis: int = -1
) -> np.ndarray | float:
    gap: np.ndarray | float = np.mean(scores, axis=axis) - np.mean(reference, axis=axis)
    return gap
