"""How much of a map lies on what can be seen of an object that something covers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from rl_abn.estimates import Estimate, clustered_mean
from rl_abn.vision.detection.boxes import areas, shares_of_cells

OCCLUDED_BELOW = 0.9
"""An object counts as occluded where less of its box than this can be seen, and some of it can."""


class VisibleMass(NamedTuple):
    """Shares over occluded objects, 0..1.

    Attributes:
        n: How many objects.
        share: Of the map's mass on the visible part.
        even: Of an even map's: the visible share of the box.
        above_even: The difference of the two, paired.
    """

    n: int
    share: Estimate
    even: Estimate
    above_even: Estimate


def is_occluded(
    boxes: Float[np.ndarray, "n 4"], visible: Float[np.ndarray, "n 4"]
) -> Bool[np.ndarray, " n"]:
    """Says which objects are partly covered."""
    seen = areas(visible) / np.maximum(areas(boxes), 1e-12)
    return np.asarray((seen < OCCLUDED_BELOW) & (seen > 0.0))


def mass_on_visible(
    maps: Float[np.ndarray, "n h w"],
    boxes: Float[np.ndarray, "n 4"],
    visible: Float[np.ndarray, "n 4"],
) -> Float[np.ndarray, " n"]:
    """Returns what share of each map's mass lies on the visible part of its box.

    A cell of the map that lies there in part counts in part. A map of zeros prefers no place: it
    counts as even.

    Args:
        maps: From 0, stretched over the boxes.
        boxes: Of the objects.
        visible: Their visible parts.
    """
    if not len(maps):
        return np.zeros(0)
    maps = np.asarray(maps, np.float64)
    maps = np.where(maps.sum(axis=(1, 2), keepdims=True) > 0, maps, 1.0)
    inside = shares_of_cells(boxes.astype(np.float64), visible.astype(np.float64), maps.shape[1:])
    return np.asarray((maps * inside).sum(axis=(1, 2)) / maps.sum(axis=(1, 2)))


def visible_mass(
    share: Float[np.ndarray, " n"], even: Float[np.ndarray, " n"], pictures: Int64[np.ndarray, " n"]
) -> VisibleMass:
    """Estimates the share over n occluded objects, with intervals over their pictures.

    Args:
        share: Of each map's mass on the visible part.
        even: Of an even map's.
        pictures: The number of each object's picture.
    """
    return VisibleMass(
        len(share),
        clustered_mean(share, pictures),
        clustered_mean(even, pictures),
        clustered_mean(share - even, pictures),
    )
