"""Frames with their maps laid out as a grid: a block of cells per map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.render import draw
from rl_abn.render.overlay import overlay
from rl_abn.render.scale import Scale

_MAX_ENLARGE = 3


@dataclass(frozen=True)
class Grid:
    """The layout of a grid of cells; lengths are in pixels.

    Attributes:
        n_cells: Cells per block.
        n_blocks: Number of blocks, one below the other.
        columns: Cells per row.
        cell: A cell's height and width.
        gap: Distance between cells.
        label: Height of the line of text above each block.
        block_gap: Distance between blocks.
    """

    n_cells: int
    n_blocks: int
    columns: int
    cell: tuple[int, int]
    gap: int
    label: int
    block_gap: int

    @property
    def _rows(self) -> int:
        return -(-self.n_cells // self.columns)

    @property
    def _block_height(self) -> int:
        return self.label + self._rows * (self.cell[0] + self.gap) - self.gap

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width = self.columns * (self.cell[1] + self.gap) - self.gap
        height = self.n_blocks * (self._block_height + self.block_gap) - self.block_gap
        return width, height

    def block_top(self, block: int) -> int:
        """Returns the top row of a block, where its label is."""
        return block * (self._block_height + self.block_gap)

    def cells(self) -> Iterator[tuple[int, int, int, int]]:
        """Yields block index, cell index, left column and top row of every cell."""
        for block in range(self.n_blocks):
            top = self.block_top(block) + self.label
            for i in range(self.n_cells):
                row, column = divmod(i, self.columns)
                yield (
                    block,
                    i,
                    column * (self.cell[1] + self.gap),
                    top + row * (self.cell[0] + self.gap),
                )


def largest_grid(
    n_cells: int, n_blocks: int, frame_size: tuple[int, int], room: tuple[int, int]
) -> tuple[Grid, int]:
    """Returns the grid with the largest frames that fits `room`, and its enlargement factor.

    Among those it takes the fullest, then the one nearest to 16:9. If even frames at their own size
    do not fit, that grid is returned.

    Args:
        n_cells: Cells per block.
        n_blocks: Number of blocks.
        frame_size: Height and width of a frame.
        room: Available width and height.
    """
    best: tuple[tuple[int, int, float], Grid, int] | None = None
    for enlarge in range(1, _MAX_ENLARGE + 1):
        for columns in range(1, n_cells + 1):
            cell = (frame_size[0] * enlarge, frame_size[1] * enlarge)
            grid = Grid(n_cells, n_blocks, columns, cell, gap=8, label=24, block_gap=18)
            width, height = grid.size
            fits = width <= room[0] and height <= room[1]
            empty = -n_cells % columns
            shape = -abs(math.log(width / height * 9.0 / 16.0))
            rank = (enlarge if fits else -enlarge, -empty, shape)
            if best is None or rank > best[0]:
                best = (rank, grid, enlarge)
    assert best is not None
    return best[1], best[2]


def paint_cells(
    canvas: draw.Canvas,
    grid: Grid,
    corner: tuple[int, int],
    frames: UInt8[np.ndarray, "P H W 3"],
    maps: Float[np.ndarray, "P m h w"],
    scale: Scale,
    enlarge: int,
    seen_rows: tuple[int, int] | None = None,
) -> None:
    """Paints P frames, overlaid with their maps, into the cells of a grid with one block per map.

    `frames` are uint8 [P, H, W, 3], `maps` floats [P, m, h, w]; `corner` is the grid's left column
    and top row. The other arguments are those of `overlay`.
    """
    for block, i, x, y in grid.cells():
        picture = overlay(
            frames[i], maps[i, block], scale=scale, enlarge=enlarge, seen_rows=seen_rows
        )
        draw.paste(canvas, picture, corner[0] + x, corner[1] + y)
