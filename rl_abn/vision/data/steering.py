"""Steering as classes, for the classification form of driving."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.errors import RlAbnError, did_you_mean

BINS = ("equal", "quantile")


class SteeringBins(NamedTuple):
    """n ranges of steering that together are -1 to 1.

    Attributes:
        edges: From -1 to 1, float32 [n + 1]; an edge belongs to the range above it.
        values: The steering each class stands for: the mean of what fell in it, or its middle if
            nothing did; float32 [n].
    """

    edges: Float[Tensor, " n1"]
    values: Float[Tensor, " n"]

    def classes(self, steering: Float[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """Returns the class of each steering, 0 (left) to n - 1 (right)."""
        inner = self.edges[1:-1].to(steering.device)
        return torch.bucketize(steering.contiguous(), inner, right=True)

    def steering(self, classes: Int64[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Returns the steering each class stands for."""
        return self.values.to(classes.device)[classes]


def steering_bins(steering: Float[Tensor, " N"], n: int, kind: str = "equal") -> SteeringBins:
    """Cuts -1 to 1 into ranges.

    Args:
        steering: What the driver did, -1 to 1, [N]; of the training frames alone.
        n: Ranges, from 2.
        kind: "equal" makes them equally wide, "quantile" equally full.

    Raises:
        RlAbnError: If there are no so many ranges.
    """
    if kind not in BINS:
        raise RlAbnError(f"unknown kind of bins '{kind}': {did_you_mean(kind, BINS)}")
    if not 2 <= n <= 1001 or not len(steering):
        raise RlAbnError(f"expected 2 to 1,001 bins of some steering, got {n} of {len(steering):,}")
    values = steering.numpy().astype(np.float64)
    edges = np.linspace(-1, 1, n + 1) if kind == "equal" else _quantiles(values, n)
    bins = torch.from_numpy(edges).float()
    middle = (bins[:-1] + bins[1:]) / 2
    number = SteeringBins(bins, middle).classes(steering)
    counts = torch.bincount(number, minlength=n)
    sums = torch.bincount(number, steering.double(), minlength=n)
    return SteeringBins(bins, torch.where(counts > 0, (sums / counts.clamp(min=1)).float(), middle))


def _quantiles(values: np.ndarray, n: int) -> np.ndarray:
    edges = _edges(values, n)
    if len(np.unique(edges)) <= n:
        # Most frames of a drive go straight: several quantiles are one and the same number.
        most = next(m for m in range(n - 1, 0, -1) if len(np.unique(_edges(values, m))) > m)
        raise RlAbnError(
            f"expected fewer quantile bins where so many frames steer alike, got {n}; "
            + (f"the nearest below is {most}" if most > 1 else "none works: choose 'equal'")
        )
    return edges


def _edges(values: np.ndarray, n: int) -> np.ndarray:
    # As float32, which the edges will be: what differs only beyond that is one number.
    edges = np.asarray(np.quantile(values, np.linspace(0, 1, n + 1)), np.float32)
    edges[0], edges[-1] = -1.0, 1.0
    return edges
