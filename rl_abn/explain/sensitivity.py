"""Sensitivity-n: does the sum of a map over cells go with what is lost without them?

Ancona, Ceolini, Oztireli and Gross (ICLR 2018): the correlation, over random sets of n cells, of
the map's sum with the loss. It asks a map for amounts, where deletion asks for an order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.removal import subset_losses
from rl_abn.explain.subject import Subject

SHARE = 0.2
"""Of the cells that are removed together."""


@torch.no_grad()
def sensitivity_n(
    subject: Subject,
    maps: Mapping[str, Tensor],
    substrate: Tensor,
    n_sets: int = 64,
    seed: int = 0,
) -> dict[tuple[str, str], np.ndarray]:
    """Measures sensitivity-n of maps, on the same sets of cells for all.

    Args:
        subject: What is explained.
        maps: By name, [N, h, w] of its grid.
        substrate: What stands where cells were removed, [N, C, H, W].
        n_sets: K, how many sets.
        seed: Of the sets.

    Returns:
        By (map, response): Pearson's correlation for each picture, [N]; 0 where a map or the loss
        is the same for all sets.
    """
    n_cells = subject.grid[0] * subject.grid[1]
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(subject.n, n_sets, n_cells, generator=generator)
    removed = keys.argsort(dim=2).argsort(dim=2) < max(1, round(SHARE * n_cells))
    lost = subset_losses(subject, subject.answers(), removed, substrate)
    found = {}
    for name, attention_map in maps.items():
        flat = attention_map.flatten(1).double().cpu()
        sums = (flat[:, None] * removed).sum(dim=2)
        for response, loss in lost.items():
            found[name, response] = correlation(sums, loss.cpu()).numpy()
    return found


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Returns Pearson's correlation of each row, [N], of [N, K]; 0 where a row is constant."""
    one = one.double() - one.double().mean(dim=1, keepdim=True)
    other = other.double() - other.double().mean(dim=1, keepdim=True)
    scale = one.norm(dim=1) * other.norm(dim=1)
    together = (one * other).sum(dim=1)
    return torch.where(scale > 1e-12, together / scale.clamp_min(1e-12), torch.zeros_like(scale))
