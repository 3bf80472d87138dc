"""A set with a planted shortcut: a coloured patch that gives the class away, in training only."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.map_editing.edits import Box, Edit, Edits
from rl_abn.vision.data.pictures import HeldPictures

SIZE = 32
PATCH = Box(1, 1, 8, 8)
SHAPES = ("disc", "square", "triangle", "cross")
COLOURS = ((235, 60, 60), (60, 200, 70), (70, 100, 245), (235, 210, 60))
EDITORS = ("object", "random")
_RADIUS = (5, 7)
_NOISE = 12.0
# Features beside the patch see it too, as far as the extractor's convolutions reach.
_RIM = 8


class ShortcutSet(NamedTuple):
    """Pictures of 32×32 with a shape somewhere and a patch in the upper left corner.

    Attributes:
        pictures: N of them.
        targets: The shapes, a number in `SHAPES`, int64 [N].
        names: What the pictures are called.
        objects: Where the shapes are.
    """

    pictures: HeldPictures
    targets: Int64[Tensor, " N"]
    names: tuple[str, ...]
    objects: tuple[Box, ...]


def make_shortcut_set(n: int, *, seed: int, planted: bool) -> ShortcutSet:
    """Draws pictures whose class is a shape, with a patch whose colour may say it too.

    Shapes differ in place, size and colour, on a noisy ground.

    Args:
        n: How many.
        seed: Of everything random.
        planted: Whether the patch has the class's colour; else it has that of a class at random.

    Raises:
        RlAbnError: If there would be no picture.
    """
    if n < 1:
        raise RlAbnError(f"expected 1 or more pictures, got {n}")
    rng = np.random.default_rng(seed)
    targets = rng.integers(len(SHAPES), size=n)
    colours = targets if planted else rng.integers(len(COLOURS), size=n)
    pixels = np.empty((n, SIZE, SIZE, 3), np.uint8)
    objects = []
    for picture, target, colour in zip(pixels, targets, colours, strict=True):
        ground = rng.uniform(40, 110) + rng.normal(0, _NOISE, (SIZE, SIZE, 3))
        canvas = np.clip(ground, 0, 255).astype(np.uint8)
        objects.append(_draw_shape(canvas, int(target), rng))
        patch = np.array(COLOURS[colour]) + rng.normal(0, _NOISE / 2, (7, 7, 3))
        canvas[int(PATCH.top) : int(PATCH.bottom), int(PATCH.left) : int(PATCH.right)] = np.clip(
            patch, 0, 255
        )
        picture[:] = canvas
    return ShortcutSet(
        HeldPictures(torch.from_numpy(pixels)),
        torch.from_numpy(targets),
        tuple(f"{i:05}.png" for i in range(n)),
        tuple(objects),
    )


def shortcut_edits(
    shortcut: ShortcutSet, n: int, editor: Literal["object", "random"] = "object", seed: int = 0
) -> Edits:
    """Edits the first pictures as a person would, or as one who does not look.

    Args:
        shortcut: The set.
        n: How many pictures are edited.
        editor: "object" removes the patch and adds the shape; "random" does it with boxes of
            the same sizes in random places, a control.
        seed: Of the random places.

    Raises:
        RlAbnError: If there are not so many pictures, or there is no such editor.
    """
    if editor not in EDITORS:
        raise RlAbnError(f"unknown editor '{editor}': {did_you_mean(editor, EDITORS)}")
    if not 0 <= n <= len(shortcut.names):
        raise RlAbnError(f"expected 0 to {len(shortcut.names):,} edited pictures, got {n:,}")
    rng = np.random.default_rng(seed)
    corner = Box(0, 0, PATCH.right + _RIM, PATCH.bottom + _RIM)
    edits = {}
    for name, box in zip(shortcut.names[:n], shortcut.objects, strict=False):
        remove, add = corner, box
        if editor == "random":
            remove, add = _elsewhere(corner, rng), _elsewhere(box, rng)
        edits[name] = Edit(remove=(remove,), add=(add,))
    return Edits(edits)


def _elsewhere(box: Box, rng: np.random.Generator) -> Box:
    width, height = box.right - box.left, box.bottom - box.top
    left, top = rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height)
    return Box(left, top, left + width, top + height)


def _draw_shape(canvas: np.ndarray, shape: int, rng: np.random.Generator) -> Box:
    """Paints a shape where it does not touch the patch, and returns the box around it."""
    radius = int(rng.integers(_RADIUS[0], _RADIUS[1] + 1))
    while True:
        x, y = (int(place) for place in rng.integers(radius + 1, SIZE - radius - 1, size=2))
        if x - radius > PATCH.right + 3 or y - radius > PATCH.bottom + 3:
            break
    colour = [int(light) for light in rng.uniform(140, 255, 3)]
    if shape == 0:
        cv2.circle(canvas, (x, y), radius, colour, cv2.FILLED)
    elif shape == 1:
        cv2.rectangle(canvas, (x - radius, y - radius), (x + radius, y + radius), colour, -1)
    elif shape == 2:
        corners = [[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]]
        cv2.fillPoly(canvas, [np.array(corners, np.int32)], colour)
    else:
        cv2.line(canvas, (x - radius, y), (x + radius, y), colour, 3)
        cv2.line(canvas, (x, y - radius), (x, y + radius), colour, 3)
    return Box(x - radius - 1, y - radius - 1, x + radius + 2, y + radius + 2)
