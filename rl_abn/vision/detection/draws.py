"""Intervals over the pictures of a set, which are drawn again and again with replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64

from rl_abn.estimates import Estimate

N_DRAWS = 200
"""So many draws make an interval: each counts all matches anew."""


def draws_of(n: int, seed: int) -> Int64[np.ndarray, "R n"]:
    """Returns n pictures drawn again and again with replacement; no draw of a single one."""
    rng = np.random.default_rng(seed)
    return rng.integers(n, size=(N_DRAWS if n > 1 else 0, n))


def drawn_estimate(value: float, drawn: Sequence[float] | Float[np.ndarray, " R"]) -> Estimate:
    """Returns a number with its 95% interval; without one where fewer than two draws are left.

    Args:
        value: Of the pictures as they are.
        drawn: Of every draw. NaN is left out: such a draw has no object.
    """
    there = np.asarray(drawn, np.float64)
    there = there[~np.isnan(there)]
    if len(there) < 2:
        return Estimate(value, None, None)
    low, high = np.percentile(there, (2.5, 97.5))
    return Estimate(value, float(low), float(high))
