"""What lies under a map: pointing game, share of mass and lift over area, by object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.cells import to_pixels


class UnderMap(NamedTuple):
    """A map and an object, in the pictures that show the object.

    Attributes:
        pictures: Numbers of these pictures, int64 [P].
        share: Share of the map's mass on the object, [P].
        area: The object's share of the picture, [P].
        hit: Whether the map's highest point lies on the object, or within half a cell of it, [P].
    """

    pictures: np.ndarray
    share: np.ndarray
    area: np.ndarray
    hit: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """Share of mass over share of area, [P]: 1 is what an even map has."""
        lift: np.ndarray = self.share / self.area
        return lift


def under_map(maps: Tensor, mask: np.ndarray) -> UnderMap:
    """Measures how much of maps lies on an object.

    Args:
        maps: [N, h, w]; what is below 0 has no mass. A map without any mass counts as even.
        mask: Where the object is, bool [N, H, W], in pixels of the pictures.
    """
    height, width = mask.shape[1:]
    seen = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(seen):
        nothing = np.zeros(0)
        return UnderMap(seen, nothing, nothing, nothing)
    cells = maps[torch.as_tensor(seen, device=maps.device)].cpu()
    wide = to_pixels(cells.clamp_min(0.0), (height, width)).double().numpy()
    total = wide.sum(axis=(1, 2), keepdims=True)
    even = np.full_like(wide, 1.0 / (height * width))
    mass = np.where(total > 0, wide / np.where(total > 0, total, 1.0), even)
    there = mask[seen]
    return UnderMap(
        seen,
        (mass * there).sum(axis=(1, 2)),
        there.mean(axis=(1, 2)),
        points_at(to_pixels(cells, (height, width)).numpy(), there, maps.shape[1:]),
    )


def points_at(wide: np.ndarray, mask: np.ndarray, grid: tuple[int, int] | torch.Size) -> np.ndarray:
    """Returns whether the highest point is on an object or within half a cell of it, [P] of 0 or 1.

    The pointing game (Zhang et al., ECCV 2016). Of several highest points the first one counts.

    Args:
        wide: Maps in pixels, [P, H, W].
        mask: Where the object is, bool [P, H, W].
        grid: Cells of the map, h and w.
    """
    height, width = mask.shape[1:]
    down, right = height // (2 * grid[0]), width // (2 * grid[1])
    kernel = np.ones((2 * down + 1, 2 * right + 1), np.uint8)
    hits = []
    for one, there in zip(wide, mask, strict=True):
        near = cv2.dilate(there.astype(np.uint8), kernel)
        hits.append(float(near.flat[int(one.argmax())]))
    return np.array(hits)


def find_objects(
    screen: np.ndarray, objects: Mapping[str, Mapping[str, object]]
) -> dict[str, np.ndarray]:
    """Finds objects on a screen by their exact colours, each bool [H, W].

    Args:
        screen: uint8 RGB [H, W, 3].
        objects: By name: "colours" and, where they are limited, "rows" and "columns", first and
            after the last.
    """
    packed = _packed(screen)
    found = {}
    for name, spec in objects.items():
        mask = np.zeros(packed.shape, bool)
        rows, columns = _span(spec.get("rows")), _span(spec.get("columns"))
        colours = _packed(np.array(spec["colours"]))
        mask[rows, columns] = np.isin(packed[rows, columns], colours)
        found[name] = mask
    return found


def _packed(rgb: np.ndarray) -> np.ndarray:
    packed: np.ndarray = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return packed


def _span(span: object) -> slice:
    return slice(None) if span is None else slice(*span)  # type: ignore[misc]
