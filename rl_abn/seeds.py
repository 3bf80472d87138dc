"""Derives the seeds of everything random from a run's seed."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What an agent's seeds are for, so that no two purposes share their random numbers."""

    RESTART = 1  # games after a checkpoint
    PROBES = 2  # games and moves that probe positions are taken from
    EVALUATION = 3  # games of an evaluation
    VIDEO = 4  # games of videos
    INTERVENTION = 5  # what an intervention draws
    PERIODIC_EVALUATION = 6  # games and actions of evaluations while training
    BANK = 7  # games and moves that map reliance is measured on
    EXPLANATION = 8  # games that explanations are tested on


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
