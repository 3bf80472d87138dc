"""Cells and pixels: all maps are compared on one grid, so that none gains by being finer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_CELLS = 12
"""Rows and columns of a grid, at most: every cell is hidden once in every picture."""


def grid_of(rows: int, columns: int) -> tuple[int, int]:
    """Returns the grid on which maps of a size are compared: halved until it is coarse enough.

    Args:
        rows: Of the maps.
        columns: Of the maps.
    """
    while rows > MOST_CELLS:
        rows = -(-rows // 2)
    while columns > MOST_CELLS:
        columns = -(-columns // 2)
    return rows, columns


def to_cells(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Brings maps [N, a, b] to the grid, [N, h, w].

    Finer maps become means over each cell's pixels; coarser ones are interpolated linearly.
    """
    if maps.shape[-2:] == grid:
        return maps
    if maps.shape[-2] >= grid[0] and maps.shape[-1] >= grid[1]:
        return F.adaptive_avg_pool2d(maps[:, None], grid).squeeze(1)
    return F.interpolate(maps[:, None], grid, mode="bilinear", align_corners=False).squeeze(1)


def to_pixels(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Brings maps [N, h, w] to pixels, [N, H, W], interpolated linearly as they are drawn."""
    wide = F.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=False)
    return wide.squeeze(1)


def cell_of_pixels(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Returns the cell that each pixel belongs to, int64 [H, W], numbered row by row."""
    rows = torch.arange(size[0]) * grid[0] // size[0]
    columns = torch.arange(size[1]) * grid[1] // size[1]
    return rows[:, None] * grid[1] + columns[None]


def pixel_mask(cells: Tensor, cell_numbers: Tensor) -> Tensor:
    """Spreads values of cells [B, h * w] over their pixels, [B, 1, H, W].

    Args:
        cells: A value a cell.
        cell_numbers: As `cell_of_pixels` returns them, on the same device.
    """
    return cells[:, cell_numbers.flatten()].view(len(cells), 1, *cell_numbers.shape)
