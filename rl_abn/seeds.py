"""Derives the seeds of everything random from a run's seed."""

from __future__ import annotations

import numpy as np


def derive_seeds(seed: int, *path: int, count: int) -> np.ndarray:
    """Returns `count` independent seeds for a run's seed and a path of stream numbers.

    Consecutive seeds would not work: ALE gives environment i the seed s + i, so runs 0 and 1 would
    share nearly all their games.

    Args:
        seed: The run's seed.
        path: Numbers that identify the random stream, such as a purpose and a checkpoint number.
        count: Number of seeds.

    Returns:
        int32 [count], >= 0.
    """
    words = np.random.SeedSequence([seed, *path]).generate_state(count, np.uint32)
    return (words >> 1).astype(np.int32)
