"""What is held out: a share of every class, or stretches of a drive."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from rl_abn.errors import RlAbnError


class Split(NamedTuple):
    """Numbers of pictures, sorted; none is in both.

    Attributes:
        train: To learn from, int64 [n].
        held_out: To be tested on, int64 [m].
    """

    train: Int64[Tensor, " n"]
    held_out: Int64[Tensor, " m"]


def hold_out(targets: Shaped[Tensor, "N ..."], share: float, seed: int) -> Split:
    """Holds out the same share of every class, drawn at random.

    Args:
        targets: Classes, int64 [N]; of attributes, [N, A], a share of all pictures is drawn.
        share: Above 0 and below 1. Of every class at least one picture stays on either side; a
            class of one picture is all train.
        seed: Decides which.

    Raises:
        RlAbnError: If nothing would be held out, or the share is none.
    """
    if not 0 < share < 1:
        raise RlAbnError(f"expected a share above 0 and below 1 to hold out, got {share:g}")
    rng = np.random.default_rng(seed)
    classes = targets.numpy() if targets.ndim == 1 else np.zeros(len(targets), np.int64)
    chosen = np.zeros(len(classes), bool)
    for number in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == number))
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[members[:count]] = True
    if not chosen.any():
        raise RlAbnError("expected a class of two pictures or more to hold some out, got none")
    return _split(~chosen, chosen)


def block_folds(blocks: Int64[Tensor, " N"], k: int, margin: int) -> list[Split]:
    """Cuts a drive into k stretches, and holds each out in turn.

    Neighbouring frames look alike, so those within the margin of what is held out are not learned
    from; where the drive was interrupted, nothing is a neighbour. A cut that lies near such an
    interruption, within a quarter of a stretch, moves there.

    Args:
        blocks: Which uninterrupted stretch each frame belongs to, int64 [N].
        k: Folds, from 2.
        margin: Frames.

    Returns:
        k splits; what they hold out is contiguous, and together everything.

    Raises:
        RlAbnError: If there are too few frames for that.
    """
    total = len(blocks)
    if not 2 <= k <= total:
        raise RlAbnError(f"expected 2 to {total:,} folds of {total:,} frames, got {k}")
    if margin < 0:
        raise RlAbnError(f"expected a margin of 0 frames or more, got {margin}")
    where = blocks.numpy()
    gaps = np.flatnonzero(np.diff(where)) + 1
    cuts = [0, *(_nearest_gap(i * total // k, gaps, total // k // 4) for i in range(1, k)), total]
    folds = []
    for start, end in pairwise(cuts):
        numbers = np.arange(total)
        before = (numbers >= start - margin) & (numbers < start) & (where == where[start])
        after = (numbers >= end) & (numbers < end + margin) & (where == where[end - 1])
        inside = (numbers >= start) & (numbers < end)
        folds.append(_split(~(before | inside | after), inside))
        if not len(folds[-1].train):
            raise RlAbnError(
                f"expected frames to learn from beside fold {len(folds)} of {k}, got none: "
                f"the margin of {margin} takes them all"
            )
    return folds


def _nearest_gap(cut: int, gaps: np.ndarray, reach: int) -> int:
    if not len(gaps):
        return cut
    gap = int(gaps[np.abs(gaps - cut).argmin()])
    return gap if abs(gap - cut) <= reach else cut


def _split(train: np.ndarray, held_out: np.ndarray) -> Split:
    return Split(*(torch.from_numpy(np.flatnonzero(chosen)) for chosen in (train, held_out)))
