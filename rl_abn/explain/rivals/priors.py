"""Maps that know nothing of the network: motion, the centre, chance."""

from __future__ import annotations

import torch
from torch import Tensor

from rl_abn.explain.cells import to_cells


def motion(images: Tensor, previous: Tensor, grid: tuple[int, int]) -> Tensor:
    """Returns where a picture differs from the one before: the mean absolute change, [N, h, w].

    Args:
        images: The newest frames, [N, C, H, W].
        previous: Those before, of the same shape.
        grid: h and w.
    """
    return to_cells((images - previous).abs().mean(dim=1), grid)


def centre(n: int, grid: tuple[int, int]) -> Tensor:
    """Returns a Gaussian in the middle, [N, h, w]; standard deviation a quarter of each side."""
    rows = (torch.arange(grid[0]) + 0.5) / grid[0] - 0.5
    columns = (torch.arange(grid[1]) + 0.5) / grid[1] - 0.5
    one = torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / (2 * 0.25**2))
    return one.expand(n, *grid)


def random(n: int, grid: tuple[int, int], seed: int = 0) -> Tensor:
    """Returns noise, [N, h, w]."""
    return torch.rand(n, *grid, generator=torch.Generator().manual_seed(seed))
