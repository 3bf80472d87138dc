"""A made set in COCO's layout: shapes, some of them half behind a grey bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.files.text import kind_of, write_output
from rl_abn.progress import ProgressReport
from rl_abn.seeds import derive_seeds
from rl_abn.vision.detection.boxes import intersections

SIZE = 128
CATEGORIES = ("disc", "square", "triangle")
_SIDES = (20, 56)  # of a shape's box, in pixels
_MOST_SHAPES = 4
_OCCLUDED = 0.5  # share of the shapes that have a bar before them
_ALONE = 0.5  # share of the pictures with a bar before nothing
_COVERED = (0.35, 0.65)  # share of the box that it covers
_NOISE = 14.0
_TRIES = 20
_GAP = 4.0  # pixels between two shapes


class Shape(NamedTuple):
    """A shape of a picture; boxes are x1, y1, x2, y2 in whole pixels.

    Attributes:
        category: A number in `CATEGORIES`.
        box: Of the whole shape.
        visible: Of what no bar covers.
    """

    category: int
    box: tuple[int, int, int, int]
    visible: tuple[int, int, int, int]


def draw_picture(seed: int) -> tuple[UInt8[np.ndarray, "H W 3"], list[Shape]]:
    """Draws a picture of one to four shapes; half of them have a bar before them.

    A bar covers one side of a shape's box from edge to edge, so that what is left is a box too.
    Half the pictures have a bar before nothing as well. Colours say nothing of the shape.

    Args:
        seed: Of everything random.

    Returns:
        RGB, uint8 [128, 128, 3], and the shapes.
    """
    rng = np.random.default_rng(seed)
    picture = _ground(rng)
    boxes = _places(rng, int(rng.integers(1, _MOST_SHAPES + 1)))
    categories = [int(rng.integers(len(CATEGORIES))) for _ in boxes]
    if rng.random() < _ALONE:
        _draw_bar(picture, _bar(rng, _places(rng, 1)[0])[1], rng)
    for category, box in zip(categories, boxes, strict=True):
        _draw_shape(picture, category, box, _colour(rng))
    shapes: list[Shape] = []
    for category, box in zip(categories, boxes, strict=True):
        visible = box
        if rng.random() < _OCCLUDED:
            visible, bar = _bar(rng, box)
            others = [other for other in boxes if other != box]
            _draw_bar(picture, bar, rng, behind=others)
        shapes.append(Shape(category, box, visible))
    noisy = picture + rng.normal(0.0, _NOISE, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), shapes


def counts_of(n: int) -> dict[str, int]:
    """Returns how many pictures each split has where n are to learn from."""
    return {"train": n, "val": max(1, n // 5), "test": max(1, n // 2)}


def write_shapes(
    folder: Path,
    n: int,
    *,
    seed: int = 0,
    report: ProgressReport | None = None,
) -> dict[str, int]:
    """Writes a set: annotations/instances_SPLIT.json, and SPLIT/ with its pictures.

    Args:
        folder: Where; it may not exist, or be empty.
        n: Pictures to learn from; there are a fifth as many in val and half as many in test.
        seed: Of everything random: the same seed writes the same bytes.
        report: Shows how far it is, in pictures.

    Returns:
        Pictures by split.

    Raises:
        RlAbnError: If the folder is not empty, or cannot be written.
    """
    if kind_of(folder) == "a file" or (folder.is_dir() and any(folder.iterdir())):
        raise RlAbnError(f"expected a folder that is new or empty, got '{folder}'")
    counts = counts_of(n)
    done = 0
    for number, (split, count) in enumerate(counts.items()):
        data = _empty_annotations()
        for i, drawn in enumerate(derive_seeds(seed, number, count=count).tolist(), start=1):
            picture, shapes = draw_picture(drawn)
            name = f"{i:06}.png"
            _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            write_output(folder / split / name, png.tobytes())
            data["images"].append({"id": i, "file_name": name, "height": SIZE, "width": SIZE})
            data["annotations"] += [
                _annotation(shape, i, len(data["annotations"]) + j)
                for j, shape in enumerate(shapes, start=1)
            ]
            done += 1
            if report is not None:
                report.update(done)
        # Last, so that a set that was cut off has no list of its pictures.
        write_output(folder / "annotations" / f"instances_{split}.json", data)
    return counts


def _empty_annotations() -> dict[str, Any]:
    categories = [{"id": i, "name": name} for i, name in enumerate(CATEGORIES, start=1)]
    return {"images": [], "annotations": [], "categories": categories}


def _annotation(shape: Shape, image: int, number: int) -> dict[str, Any]:
    (x1, y1, x2, y2), (v1, w1, v2, w2) = shape.box, shape.visible
    return {
        "id": number,
        "image_id": image,
        "category_id": shape.category + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "vis_bbox": [v1, w1, v2 - v1, w2 - w1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
    }


def _ground(rng: np.random.Generator) -> np.ndarray:
    """Returns a soft random ground, float64 [H, W, 3]."""
    coarse = rng.uniform(40.0, 130.0, (6, 6, 3))
    return np.asarray(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Returns a bright colour."""
    hue = np.array([[[rng.uniform(0, 360), rng.uniform(0.4, 1.0), 1.0]]], np.float32)
    red, green, blue = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0] * rng.uniform(170, 250)
    return float(red), float(green), float(blue)


def _places(rng: np.random.Generator, n: int) -> list[tuple[int, int, int, int]]:
    """Returns up to n boxes that keep apart."""
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(_TRIES):
        side = int(rng.integers(_SIDES[0], _SIDES[1] + 1))
        x, y = (int(v) for v in rng.integers(0, SIZE - side + 1, 2))
        box = (x, y, x + side, y + side)
        wide = np.array([[x - _GAP, y - _GAP, x + side + _GAP, y + side + _GAP]])
        if not boxes or not intersections(wide, np.array(boxes, float)).any():
            boxes.append(box)
        if len(boxes) == n:
            break
    return boxes


def _draw_shape(
    picture: np.ndarray,
    category: int,
    box: tuple[int, int, int, int],
    colour: tuple[float, float, float],
) -> None:
    x1, y1, x2, y2 = box
    if CATEGORIES[category] == "square":
        cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour, cv2.FILLED)
    elif CATEGORIES[category] == "disc":
        rows, columns = np.mgrid[y1:y2, x1:x2] + 0.5
        radius = (x2 - x1) / 2
        inside = np.hypot(columns - (x1 + x2) / 2, rows - (y1 + y2) / 2) <= radius
        picture[y1:y2, x1:x2][inside] = colour
    else:
        corners = np.array([[(x1 + x2) // 2, y1], [x1, y2 - 1], [x2 - 1, y2 - 1]], np.int32)
        cv2.fillPoly(picture, [corners], colour)


def _bar(
    rng: np.random.Generator, box: tuple[int, int, int, int]
) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Returns what stays visible of a box, and the bar before the rest of it."""
    x1, y1, x2, y2 = box
    cover = round(float(rng.uniform(*_COVERED)) * (x2 - x1))
    reach = int(rng.integers(3, 12))  # beyond the box, to both sides and outwards
    kind = int(rng.integers(4))
    if kind == 0:
        return (x1 + cover, y1, x2, y2), (x1 - reach, y1 - reach, x1 + cover, y2 + reach)
    if kind == 1:
        return (x1, y1, x2 - cover, y2), (x2 - cover, y1 - reach, x2 + reach, y2 + reach)
    if kind == 2:
        return (x1, y1 + cover, x2, y2), (x1 - reach, y1 - reach, x2 + reach, y1 + cover)
    return (x1, y1, x2, y2 - cover), (x1 - reach, y2 - cover, x2 + reach, y2 + reach)


def _draw_bar(
    picture: np.ndarray,
    bar: tuple[int, int, int, int],
    rng: np.random.Generator,
    behind: Sequence[tuple[int, int, int, int]] = (),
) -> None:
    """Draws a bar behind other shapes: what is written of their visible parts stays exact."""
    x1, y1, x2, y2 = (int(np.clip(v, 0, SIZE)) for v in bar)
    kept = [(box, picture[box[1] : box[3], box[0] : box[2]].copy()) for box in behind]
    picture[y1:y2, x1:x2] = rng.uniform(90.0, 170.0)
    for box, pixels in kept:
        picture[box[1] : box[3], box[0] : box[2]] = pixels
