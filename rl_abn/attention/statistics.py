"""Numbers that say what a map is like: how spread, how much of the screen, where."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LOGGED_STATISTICS = ("mean", "entropy", "contrast", "coverage")
"""What is logged of maps over a training, in both tracks: fields of `MapStatistics`."""


_TINY = 1e-12  # keeps an all-zero map a distribution: the uniform one


class MapStatistics(NamedTuple):
    """Statistics of maps [B, m, h, w]; every field is [B, m].

    Attributes:
        mean: Mean value, 0..1.
        entropy: Entropy of the map read as a distribution over places, over log(h·w): 1 is
            perfectly even (an all-zero map too: it prefers no place), 0 is a single place.
        contrast: Standard deviation over mean, across the places: 0 is an even map. It tells maps
            apart that entropy hardly does.
        coverage: Share of the places where the map is above the threshold, 0..1.
        centre_x: Centre of mass from left (0) to right (1).
        centre_y: Centre of mass from top (0) to bottom (1).
    """

    mean: Float[Tensor, "B m"]
    entropy: Float[Tensor, "B m"]
    contrast: Float[Tensor, "B m"]
    coverage: Float[Tensor, "B m"]
    centre_x: Float[Tensor, "B m"]
    centre_y: Float[Tensor, "B m"]


def map_statistics(
    attention_map: Float[Tensor, "B m h w"], threshold: float = 0.5
) -> MapStatistics:
    """Describes each map of a batch.

    Args:
        attention_map: [B, m, h, w], in 0..1.
        threshold: What counts as covered.
    """
    maps = attention_map.float()
    height, width = maps.shape[2:]
    share = place_shares(maps)
    entropy = place_entropy(share) / even_entropy(height * width)
    xs = (torch.arange(width, device=maps.device) + 0.5) / width
    ys = (torch.arange(height, device=maps.device) + 0.5) / height
    mean = maps.mean(dim=(2, 3))
    spread = (maps - mean[:, :, None, None]).square().mean(dim=(2, 3)).sqrt()
    return MapStatistics(
        mean=mean,
        entropy=entropy,
        contrast=spread / mean.clamp_min(_TINY),
        coverage=(maps > threshold).float().mean(dim=(2, 3)),
        centre_x=(share.sum(dim=2) * xs).sum(dim=2),
        centre_y=(share.sum(dim=3) * ys).sum(dim=2),
    )


def place_shares(maps: Float[Tensor, "*lead h w"]) -> Float[Tensor, "*lead h w"]:
    """Reads maps as distributions over their places: fp32, with a sum of 1."""
    maps = maps.float() + _TINY
    return maps / maps.sum(dim=(-2, -1), keepdim=True)


def place_entropy(shares: Float[Tensor, "*lead h w"]) -> Float[Tensor, " *lead"]:
    """Computes the entropies of distributions over places, in nats."""
    return place_cross_entropy(shares, shares)


def place_cross_entropy(
    shares: Float[Tensor, "*lead h w"], others: Float[Tensor, "*lead h w"]
) -> Float[Tensor, " *lead"]:
    """Computes the cross-entropies -sum(shares * log others) over places, in nats."""
    return -(shares * others.log()).sum(dim=(-2, -1))


def even_entropy(n_places: int) -> float:
    """Returns the entropy of an even map, in nats, to divide by; log 2 for a single place."""
    return math.log(max(n_places, 2))
