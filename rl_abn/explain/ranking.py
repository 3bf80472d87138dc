"""Ranks of maps over several metrics, and how far the metrics agree.

Metrics of explanations disagree with each other (LATEC, NeurIPS 2024): none decides alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Ranks of M maps by K metrics; 1 is the best.

    Attributes:
        maps: Their names, from the best mean rank.
        metrics: Names of the metrics.
        ranks: float64 [M, K]; equal ones share the mean of their places.
        mean_rank: [M].
        agreement: Kendall's W: 1 where all metrics rank alike, 0 where they have nothing in common.
    """

    maps: tuple[str, ...]
    metrics: tuple[str, ...]
    ranks: np.ndarray
    mean_rank: np.ndarray
    agreement: float


def rank(numbers: Mapping[str, Mapping[str, float]]) -> Ranking:
    """Ranks maps.

    Args:
        numbers: By map, then by metric: a number, more is better.
    """
    from scipy import stats

    maps = tuple(numbers)
    metrics = tuple(next(iter(numbers.values())))
    table = np.array([[numbers[name][metric] for metric in metrics] for name in maps])
    ranks = stats.rankdata(-table, axis=0)
    mean_rank = ranks.mean(axis=1)
    order = np.argsort(mean_rank, kind="stable")
    return Ranking(
        tuple(maps[i] for i in order),
        metrics,
        ranks[order],
        mean_rank[order],
        kendalls_w(ranks),
    )


def kendalls_w(ranks: np.ndarray) -> float:
    """Returns Kendall's coefficient of concordance of ranks [M, K], corrected for ties."""
    m, k = ranks.shape
    if m < 2 or k < 2:
        return 1.0
    totals = ranks.sum(axis=1)
    spread = ((totals - totals.mean()) ** 2).sum()
    ties = sum(
        float((counts**3 - counts).sum())
        for counts in (np.unique(column, return_counts=True)[1] for column in ranks.T)
    )
    most = (k**2 * (m**3 - m) - k * ties) / 12
    return float(spread / most) if most > 0 else 1.0
