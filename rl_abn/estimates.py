"""Estimates with 95% bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

N_RESAMPLES = 10_000
_MOST_AT_ONCE = 20_000_000
"""How many resampled values are in memory at once: 160 MB; more are made in batches."""


class Estimate(NamedTuple):
    """A number and its 95% interval; a format such as ".1f" applies to all three numbers.

    Attributes:
        value: The number.
        low: Lower end; None if there are too few samples.
        high: Upper end; None if there are too few samples.
    """

    value: float
    low: float | None
    high: float | None

    def each(self, function: Callable[[float], float]) -> Estimate:
        """Applies an increasing function to the number and both ends."""
        ends = (None if end is None else function(end) for end in (self.low, self.high))
        return Estimate(function(self.value), *ends)

    def is_above(self, number: float) -> bool:
        """Whether its interval, if there is one, lies above a number."""
        return self.low is not None and self.low > number

    def is_below(self, number: float) -> bool:
        """Whether its interval, if there is one, lies below a number."""
        return self.high is not None and self.high < number

    def __format__(self, form: str) -> str:
        if self.low is None or self.high is None:
            return format(self.value, form)
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Estimates the mean of values [N]; without an interval if N is 1."""
    return estimate(values, np.mean, seed)


def estimate(values: np.ndarray, statistic: Callable[..., Any], seed: int = 0) -> Estimate:
    """Estimates a statistic, which takes an array and an `axis`, of independent values [N].

    There is no interval if N is 1; `seed` is the bootstrap's.
    """
    value = float(statistic(values))
    if len(values) < 2:
        return Estimate(value, None, None)
    return Estimate(value, *bootstrap((values,), statistic, seed))


LEAST_CLUSTERS = 5


def clustered_mean(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> Estimate:
    """Estimates the mean of values [N] that are alike within clusters, such as frames of a minute.

    Whole clusters are resampled. There is no interval of fewer than 5: it would be far too narrow.

    Args:
        values: float [N].
        clusters: Which cluster each is of, [N].
        seed: Of the bootstrap.
    """
    _, which = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(which, values), np.bincount(which)
    value = float(np.mean(values))
    if len(counts) < LEAST_CLUSTERS:
        return Estimate(value, None, None)
    return Estimate(value, *bootstrap((sums, counts), _ratio, seed, paired=True))


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def bootstrap(
    samples: tuple[np.ndarray, ...], statistic: Callable[..., Any], seed: int, **options: Any
) -> tuple[float, float]:
    """Returns the ends of a statistic's 95% percentile bootstrap interval.

    Args:
        samples: Arrays of two values or more, each resampled.
        statistic: Takes as many arrays, and an `axis`.
        seed: Of the resampling.
        options: Further arguments of `scipy.stats.bootstrap`, such as `paired`.
    """
    from scipy import stats  # a second of every start of a command that needs no interval

    n_values = sum(len(sample) for sample in samples)
    interval = stats.bootstrap(
        samples,
        statistic,
        n_resamples=N_RESAMPLES,
        batch=min(N_RESAMPLES, max(1, _MOST_AT_ONCE // n_values)),
        method="percentile",
        rng=np.random.default_rng(seed),
        **options,
    ).confidence_interval
    return float(interval.low), float(interval.high)
