"""Boxes [N, 4] as x1, y1, x2, y2 in pixels: areas, overlaps, parts of a grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def areas(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Returns the areas of boxes, 0 for those that are turned inside out."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersections(
    boxes: Float[np.ndarray, "N 4"], others: Float[np.ndarray, "M 4"]
) -> Float[np.ndarray, "N M"]:
    """Returns the areas that each box has in common with each of the others."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.clip(high - low, 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def overlaps(
    boxes: Float[np.ndarray, "N 4"], others: Float[np.ndarray, "M 4"]
) -> Float[np.ndarray, "N M"]:
    """Returns intersection over union, 0..1."""
    common = intersections(boxes, others)
    union = areas(boxes)[:, None] + areas(others)[None, :] - common
    return np.asarray(common / np.maximum(union, 1e-12))


def inside_shares(
    boxes: Float[np.ndarray, "N 4"], regions: Float[np.ndarray, "M 4"]
) -> Float[np.ndarray, "N M"]:
    """Returns what share of each box lies in each region, 0..1."""
    return np.asarray(intersections(boxes, regions) / np.maximum(areas(boxes), 1e-12)[:, None])


def shares_of_cells(
    boxes: Float[np.ndarray, "N 4"], parts: Float[np.ndarray, "N 4"], grid: tuple[int, int]
) -> Float[np.ndarray, "N h w"]:
    """Returns what share of every cell of a grid over a box lies in a part of it.

    Args:
        boxes: N boxes, over each of which the grid is stretched.
        parts: A part of each.
        grid: h and w of the grid.

    Returns:
        Each 0..1; the mean over a box's cells is the part's share of the box.
    """
    shares = []
    for axis, n in ((1, grid[0]), (0, grid[1])):
        low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
        edges = low + (high - low) * np.linspace(0.0, 1.0, n + 1)
        common = np.minimum(edges[:, 1:], parts[:, axis + 2, None]) - np.maximum(
            edges[:, :-1], parts[:, axis, None]
        )
        shares.append(np.clip(common, 0.0, None) / np.maximum(np.diff(edges, axis=1), 1e-12))
    rows, columns = shares
    return np.asarray(rows[:, :, None] * columns[:, None, :])
