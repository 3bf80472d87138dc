"""The loss that draws maps to those a person edited."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def map_loss(
    attention_map: Float[Tensor, "B m h w"],
    edited: Float[Tensor, "B _m h w"],
    which: Bool[Tensor, " B"],
) -> Float[Tensor, ""]:
    """Computes ||M' - M||_2 of each sample with an edit, and their mean (Mitsuhara et al. 2019).

    The norm is over all places and maps of a sample together. Nothing here waits for the device,
    and where a map is as edited the gradient is 0. The weight gamma is the caller's.

    Args:
        attention_map: The network's own maps M, [B, m, h, w].
        edited: The edited maps M', [B, m or 1, h, w]; one is for all m. What it says of samples
            without an edit counts for nothing, NaN included.
        which: Where a sample has an edit, [B]. Without any, the loss is 0.

    Raises:
        ValueError: If the edited maps do not fit the network's.
    """
    n_maps = attention_map.shape[1]
    if edited.shape[1] not in (1, n_maps):
        raise ValueError(f"expected edited maps of 1 or {n_maps} a sample, got {edited.shape[1]}")
    gaps = torch.where(which[:, None, None, None], attention_map.float() - edited.float(), 0.0)
    # Unlike a root of a sum of squares, this norm has a gradient at 0, which is 0.
    distances = torch.linalg.vector_norm(gaps, dim=(1, 2, 3))
    loss: Tensor = distances.sum() / which.sum().clamp(min=1)
    return loss
