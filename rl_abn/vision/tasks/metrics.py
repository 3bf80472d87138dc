"""Accuracy, calibration and errors of controls, with intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, clustered_mean

N_BINS = 15
"""Bins of confidence (Guo et al., ICML 2017)."""


class Reliability(NamedTuple):
    """Accuracy of predictions by their confidence (Guo et al., ICML 2017); float64 [n_bins].

    Attributes:
        edges: Of the bins, [n_bins + 1], from 0 to 1; an edge belongs to the bin below it.
        counts: Predictions in each bin.
        confidence: Their mean probability; NaN in an empty bin.
        accuracy: The share of them that was right; NaN in an empty bin.
    """

    edges: Float[Tensor, " n1"]
    counts: Float[Tensor, " n"]
    confidence: Float[Tensor, " n"]
    accuracy: Float[Tensor, " n"]

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean gap of confidence and accuracy, 0..1."""
        gaps = (self.confidence - self.accuracy).abs().nan_to_num()
        return float((gaps * self.counts).sum() / self.counts.sum())


def top_k_correct(
    scores: Float[Tensor, "N K"], targets: Int64[Tensor, " N"], k: int = 1
) -> Bool[Tensor, " N"]:
    """Says of each prediction whether the right class is among the k with the highest scores.

    Of equal scores the lower class counts as higher, so that a network that says the same of all
    classes is right as often as one that guesses. Scores with NaN are never right.

    Args:
        scores: Logits or probabilities, [N, K].
        targets: Classes, [N].
        k: From 1; all classes where there are fewer.
    """
    own = scores.gather(1, targets[:, None])
    lower = torch.arange(scores.shape[1], device=scores.device) < targets[:, None]
    ahead = (scores > own) | ((scores == own) & lower)
    return (ahead.sum(1) < k) & ~scores.isnan().any(1)


def accuracy(correct: Bool[Tensor, " N"]) -> Estimate:
    """Returns the share of right predictions with Wilson's interval (Wilson 1927).

    Raises:
        RlAbnError: If there are no predictions.
    """
    if not len(correct):
        raise RlAbnError("expected predictions to count, got none")
    right, total = int(correct.sum()), len(correct)
    from scipy import stats

    interval = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    return Estimate(right / total, float(interval.low), float(interval.high))


def reliability(
    probabilities: Float[Tensor, "N K"], targets: Int64[Tensor, " N"], n_bins: int = N_BINS
) -> Reliability:
    """Sorts predictions into equally wide bins of their confidence, the highest probability.

    Args:
        probabilities: [N, K], in 0..1.
        targets: Classes, [N].
        n_bins: From 1.

    Raises:
        RlAbnError: If there are no predictions, or they are no probabilities.
    """
    confidence = probabilities.double().amax(1) if len(targets) else probabilities.new_zeros(0)
    if not len(confidence) or not bool(((confidence > 0) & (confidence <= 1 + 1e-4)).all()):
        raise RlAbnError(
            f"expected probabilities of 0 to 1, got {_range(confidence)}; logits need a softmax"
        )
    correct = top_k_correct(probabilities, targets).double()
    edges = torch.linspace(0, 1, n_bins + 1, dtype=torch.double, device=confidence.device)
    number = torch.bucketize(confidence, edges[1:-1])
    counts, sure, right = (
        torch.bincount(number, weights, minlength=n_bins)
        for weights in (torch.ones_like(confidence), confidence, correct)
    )
    return Reliability(*(t.cpu() for t in (edges, counts, sure / counts, right / counts)))


def mean_over_blocks(
    values: Float[Tensor, " N"],
    blocks: Int64[Tensor, " N"],
    *,
    block_length: int = 50,
    seed: int = 0,
) -> Estimate:
    """Returns the mean of numbers along a drive, with an interval that knows of neighbours.

    What a network gets wrong in one frame it gets wrong in the next. So whole stretches of frames
    are drawn again, not single frames (block bootstrap, Carlstein 1986); there is no interval of
    fewer than 5. `values` may be absolute errors, or the differences of two networks' errors in
    the same frames.

    Args:
        values: One a frame, in the drive's order, [N].
        blocks: Which uninterrupted stretch each frame belongs to, [N]; no block spans two.
        block_length: Frames a block has, about: longer than errors take to change. A stretch is
            cut into blocks of equal length.
        seed: Of what is drawn.

    Raises:
        RlAbnError: If there are no numbers, or the length is none.
    """
    if not len(values) or block_length < 1:
        raise RlAbnError(
            f"expected numbers and blocks of 1 frame or more, got {len(values)} and {block_length}"
        )
    numbers = values.detach().cpu().double().numpy()
    ends = np.flatnonzero(np.diff(blocks.cpu().numpy())) + 1
    lengths = [
        len(part)
        for stretch in np.split(numbers, ends)
        for part in np.array_split(stretch, max(round(len(stretch) / block_length), 1))
    ]
    return clustered_mean(numbers, np.repeat(np.arange(len(lengths)), lengths), seed)


def _range(values: Tensor) -> str:
    return f"{float(values.min()):g} to {float(values.max()):g}" if len(values) else "none"
