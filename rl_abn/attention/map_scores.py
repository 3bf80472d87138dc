"""From scores of places to an attention map: how strong a contrast the map may have."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

MapForm = Literal["sigmoid", "standardised", "softmax", "standardised_softmax"]
"""How scores become a map.

"sigmoid": sigmoid(gain * s + bias), as published. "standardised": the same of scores whose mean
over the places is 0 and whose standard deviation is 1, so that a map always has contrast.
"softmax": softmax(gain * s) over the places, which share a sum of 1. "standardised_softmax": the
same of standardised scores: of normally distributed ones, exp(-gain²) of the places hold the map.
"""

_TINY = 1e-5  # scores that are all alike stay alike


def check_map_form(form: str) -> None:
    """Raises ValueError unless there is such a form."""
    if form not in get_args(MapForm):
        raise ValueError(f"expected map_form of {list(get_args(MapForm))}, got '{form}'")


def sums_to_one(form: str) -> bool:
    """Returns whether the places of such a map share a sum of 1."""
    return form in ("softmax", "standardised_softmax")


def maps_of_scores(
    scores: Float[Tensor, "B m h w"], form: str, gain: float = 1.0, bias: float = 0.0
) -> Float[Tensor, "B m h w"]:
    """Computes maps in 0..1, each from its own scores alone.

    Args:
        scores: One a place.
        form: A `MapForm`.
        gain: How steeply a map follows its scores.
        bias: Added before a sigmoid: below 0, a map is low but where its scores stand out.
    """
    if form in ("standardised", "standardised_softmax"):
        variance, mean = torch.var_mean(scores, dim=(2, 3), correction=0, keepdim=True)
        scores = (scores - mean) * (variance + _TINY).rsqrt()
    if sums_to_one(form):
        return (gain * scores).flatten(2).softmax(dim=2).view_as(scores)
    return torch.sigmoid(gain * scores + bias)
