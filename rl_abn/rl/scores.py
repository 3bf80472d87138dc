"""What a set of game scores says, with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from rl_abn.recipes.schema import Scores

N_RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A statistic and its 95% bootstrap interval.

    Attributes:
        value: The statistic.
        low: Lower end; None from fewer than two games.
        high: Upper end; None from fewer than two games.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.1f}"
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def mean(scores: np.ndarray, seed: int = 0) -> Estimate:
    """Estimates the mean of scores [N]."""
    return _estimate(scores, np.mean, seed)


def interquartile_mean(scores: np.ndarray, seed: int = 0) -> Estimate:
    """Estimates the mean of the middle half of scores [N] (Agarwal et al., NeurIPS 2021)."""
    return _estimate(scores, _iqm, seed)


def human_normalised(score: float, scores: Scores) -> float:
    """Returns 0 for a random player's score and 1 for a person's (Mnih et al. 2015)."""
    return (score - scores.random) / (scores.human - scores.random)


def _iqm(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    trimmed: np.ndarray = stats.trim_mean(scores, 0.25, axis=axis)
    return trimmed


def _estimate(scores: np.ndarray, statistic: object, seed: int) -> Estimate:
    value = float(statistic(scores))  # type: ignore[operator]
    if len(scores) < 2:
        return Estimate(value, None, None)
    interval = stats.bootstrap(
        (scores,),
        statistic,
        n_resamples=N_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high))
