"""Games with their maps laid out as a grid: a block of cells a map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.render import draw
from rl_abn.render.overlay import Scale, overlay

_MAX_ENLARGE = 3


@dataclass(frozen=True)
class Grid:
    """Where the cells of a grid lie.

    Attributes:
        n_cells: How many cells a block has.
        n_blocks: How many blocks there are, one below the other.
        columns: How many cells lie side by side.
        cell: A cell's height and width in pixels.
        gap: The distance between cells in pixels.
        label: The room for a line of text above each block, in pixels.
        block_gap: The distance between blocks in pixels.
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
        """The width and height in pixels."""
        width = self.columns * (self.cell[1] + self.gap) - self.gap
        height = self.n_blocks * (self._block_height + self.block_gap) - self.block_gap
        return width, height

    def block_top(self, block: int) -> int:
        """Returns the top row of a block, where its label goes."""
        return block * (self._block_height + self.block_gap)

    def cells(self) -> Iterator[tuple[int, int, int, int]]:
        """Yields the block, the cell, and the cell's left column and top row."""
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
    """Returns the grid that shows the games largest; of those, the fullest and nearest to 16:9.

    Args:
        n_cells: How many cells a block has.
        n_blocks: How many blocks there are.
        frame_size: The height and width of a game's screen.
        room: The width and height that the grid should fit in; a grid of the games at their own
            size is returned even where it does not.

    Returns:
        The grid, and how many pixels wide and high each pixel of a game is in it.
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
    """Paints the overlays of P games' maps into the cells.

    Args:
        canvas: The picture that is painted on.
        grid: Where the cells lie; its blocks are the maps.
        corner: The grid's left column and top row in the picture.
        frames: The games' screens, uint8 [P, H, W, 3].
        maps: Their maps, floats [P, m, h, w] in 0..1.
        scale: "fixed" or "frame", as in `overlay`.
        enlarge: How many pixels wide and high each pixel of a game becomes.
        seen_rows: Rows of the screens that the maps cover; None is all.
    """
    for block, i, x, y in grid.cells():
        picture = overlay(
            frames[i], maps[i, block], scale=scale, enlarge=enlarge, seen_rows=seen_rows
        )
        draw.paste(canvas, picture, corner[0] + x, corner[1] + y)
