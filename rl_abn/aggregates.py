"""Statistics over runs and games (Agarwal et al., NeurIPS 2021), with 95% intervals.

Intervals are of the stratified bootstrap: the runs of each game are resampled by themselves. Where
a game has one run there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from rl_abn import estimates
from rl_abn.estimates import Estimate
from rl_abn.render.learning_curves import Curve

_Statistic = Callable[..., np.ndarray]
_CURVE_RESAMPLES = 2000
MOST_POINTS = 200


def area_under_curve(steps: np.ndarray, returns: np.ndarray, length: int) -> float:
    """Returns the mean height of a curve over a training of `length` agent steps.

    Between two points the curve is straight; before the first and after the last it is level.

    Args:
        steps: Steps of the points [P], increasing.
        returns: Their values [P].
        length: Agent steps of the training.
    """
    ends = np.concatenate([[0], steps, [max(length, steps[-1])]])
    values = np.concatenate([returns[:1], returns, returns[-1:]])
    return float(np.trapezoid(values, ends) / ends[-1])


def interquartile_mean(scores: Sequence[np.ndarray]) -> Estimate:
    """Estimates the mean of the middle half of all runs of all games.

    Args:
        scores: Of each game the scores of its seeds [N], on one scale.
    """
    return _stratified(scores, _iqm)


def probability_of_improvement(
    scores: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> Estimate:
    """Estimates how probably a run scores more than another's on the same game.

    Mean over games of P(X > Y) + P(X = Y) / 2 over all pairs of a run of the one and a run of the
    other (Mann and Whitney's U over the number of pairs).

    Args:
        scores: Of each game the scores of the one's seeds [N].
        others: Of each game, in the same order, those of the other's seeds [K].
    """
    wins = [_wins(one, other) for one, other in zip(scores, others, strict=True)]
    # Which runs are drawn says it all: what a pair is worth is known before.
    runs = [np.arange(len(of_game)) for of_game in (*scores, *others)]
    return _stratified(runs, partial(_improvement, wins))


def performance_profile(
    scores: np.ndarray, thresholds: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the share of scores above each threshold, and the ends of its intervals, [T] each.

    Args:
        scores: Of games or runs, [N].
        thresholds: [T].
        seed: Of the bootstrap.
    """
    above = scores[:, None] > thresholds[None]
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(scores), size=(_CURVE_RESAMPLES, len(scores)))
    shares = np.stack([above[rows].mean(axis=0) for rows in picked])
    low, high = np.percentile(shares, [2.5, 97.5], axis=0)
    return above.mean(axis=0), low, high


def mean_curve(curves: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> Curve:
    """Returns the mean of curves, each of a seed: steps [P] and returns [P], with 95% intervals.

    A seed counts from its first point to its last; between two points its curve is straight.
    """
    curves = [curve for curve in curves if len(curve[0])]
    every_step = np.unique(np.concatenate([steps for steps, _ in curves] or [np.zeros(0)]))
    grid = every_step
    if len(grid) > MOST_POINTS:
        grid = np.unique(np.rint(np.linspace(grid[0], grid[-1], MOST_POINTS)))
    values = np.full((len(curves), len(grid)), np.nan)
    for row, (steps, returns) in zip(values, curves, strict=True):
        inside = (grid >= steps[0]) & (grid <= steps[-1])
        row[inside] = np.interp(grid[inside], steps, returns)
    there = ~np.isnan(values)
    n_seeds = there.sum(axis=0)
    has_any = n_seeds > 0  # steps between one seed's last and another's first have none
    grid, values, there, n_seeds = (
        grid[has_any],
        values[:, has_any],
        there[:, has_any],
        n_seeds[has_any],
    )
    mean = np.nanmean(values, axis=0) if len(grid) else np.zeros(0)
    low, high = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    rng = np.random.default_rng(seed)
    for which in np.unique(there.T, axis=0):
        n = int(which.sum())
        if n < 2:
            continue
        columns = np.flatnonzero((which == there.T).all(axis=1))
        picked = rng.integers(n, size=(_CURVE_RESAMPLES, n))
        means = values[which][:, columns][picked].mean(axis=1)
        low[columns], high[columns] = np.percentile(means, [2.5, 97.5], axis=0)
    return Curve(grid, mean, low, high, n_seeds)


def normalised(
    scores: Mapping[str, np.ndarray], references: Mapping[str, tuple[float, float] | None]
) -> list[np.ndarray] | None:
    """Puts the scores of games on one scale.

    Args:
        scores: By game, the scores of its seeds [N].
        references: By game, the scores of a random player and a human.

    Returns:
        For each game its scores, human-normalised; as they are where there is one game and it has
        no references; None where several games lack them.
    """
    found = [references.get(game) for game in scores]
    if all(reference is not None for reference in found):
        return [
            (values - reference[0]) / (reference[1] - reference[0])
            for values, reference in zip(scores.values(), found, strict=True)
            if reference is not None
        ]
    return list(scores.values()) if len(scores) == 1 else None


def _stratified(samples: Sequence[np.ndarray], statistic: _Statistic) -> Estimate:
    value = float(statistic(*samples, axis=-1))
    if min(len(sample) for sample in samples) < 2:
        return Estimate(value, None, None)
    return Estimate(value, *estimates.bootstrap(tuple(samples), statistic, 0))


def _iqm(*games: np.ndarray, axis: int = -1) -> np.ndarray:
    from scipy import stats

    trimmed: np.ndarray = stats.trim_mean(np.concatenate(games, axis=axis), 0.25, axis=axis)
    return trimmed


def _wins(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns 1 where a run scores more than another, 1/2 where as much, else 0: [N, K]."""
    gap = scores[:, None] - others[None]
    won: np.ndarray = (gap > 0) + 0.5 * (gap == 0)
    return won


def _improvement(wins: Sequence[np.ndarray], *runs: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the mean over games of what a pair of runs is worth.

    Args:
        wins: Of each game as `_wins` has it, [N, K].
        runs: Numbers of the runs that were drawn, [..., N] of each game, then [..., K] of each.
        axis: Of the runs.
    """
    counts = [_counts(np.moveaxis(drawn, axis, -1)) for drawn in runs]
    half = len(wins)
    shares = [
        ((one @ won) * other).sum(axis=-1) / won.size
        for won, one, other in zip(wins, counts[:half], counts[half:], strict=True)
    ]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean


def _counts(drawn: np.ndarray) -> np.ndarray:
    """Returns how often each of N numbers was drawn, float64 [..., N], of draws [..., N]."""
    n = drawn.shape[-1]
    rows = drawn.reshape(-1, n).astype(np.int64)
    flat = rows + n * np.arange(len(rows))[:, None]
    counted = np.bincount(flat.ravel(), minlength=rows.size)
    return counted.reshape(drawn.shape).astype(np.float64)
