"""Seeds of everything random, derived from a run's seed."""

from __future__ import annotations

import numpy as np


def derive_seeds(seed: int, *path: int, count: int) -> np.ndarray:
    """Returns `count` independent seeds of a run's seed and a place in the run.

    Neighbouring seeds would not do: ALE gives environment i the seed s + i, so that run 0 and run 1
    would share nearly all their games.

    Args:
        seed: The run's seed.
        path: Numbers that name the place, such as a purpose and a checkpoint number.
        count: How many seeds.

    Returns:
        int32 [count], not negative.
    """
    words = np.random.SeedSequence([seed, *path]).generate_state(count, np.uint32)
    return (words >> 1).astype(np.int32)
