"""A sheet of pictures with boxes: what there is, what was found, and the map of each found one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.render import Scale, draw, overlay
from rl_abn.render.panels import HEADER, MARGIN
from rl_abn.render.sheet import LINE, draw_cells, percent, right_colour
from rl_abn.vision.detection.crops import crop
from rl_abn.vision.detection.mistakes import LEAST_OVERLAP, LEAST_SCORE, Verdict

SIDE = 288
"""The longer side of every picture, in pixels."""
CROP = 92
"""Sides of the square that a found object's proposal is fitted into."""
MOST_CROPS = 6
_IN_ROW, _GAP, _KEYS, _TEXT = 3, 6, 26, 11
_COLOURS: dict[Verdict, draw.Colour] = {
    "right": draw.VALUE,
    "wrong": draw.PENALTY,
    "ignored": draw.MUTED,
}


@dataclass(frozen=True, eq=False)
class TrueBox:
    """An object that is there.

    Attributes:
        box: x1, y1, x2, y2 in the picture's pixels.
        name: Its category.
        is_missed: Whether nothing was found for it.
    """

    box: Float[np.ndarray, " 4"]
    name: str
    is_missed: bool


@dataclass(frozen=True, eq=False)
class FoundBox:
    """An object that was found.

    Attributes:
        box: x1, y1, x2, y2 in the picture's pixels.
        name: Its category.
        score: Its probability, 0..1.
        verdict: Whether there is such an object.
        proposal: The box on which its maps lie.
        maps: Of it, as `overlay` takes them, [m, h, w]; m is 0 without attention.
    """

    box: Float[np.ndarray, " 4"]
    name: str
    score: float
    verdict: Verdict
    proposal: Float[np.ndarray, " 4"]
    maps: Float[np.ndarray, "m h w"]


@dataclass(frozen=True, eq=False)
class DetectedExample:
    """One picture of the sheet.

    Attributes:
        frame: The picture, uint8 [H, W, 3].
        true: Its objects.
        found: What was found, the surest first.
        is_right: Whether every object was found, and nothing else.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    true: Sequence[TrueBox]
    found: Sequence[FoundBox]
    is_right: bool

    @property
    def maps(self) -> Float[np.ndarray, "n h w"]:
        """The maps of all that was found."""
        maps = [one.maps for one in self.found]
        return np.concatenate(maps) if maps else np.zeros((0, 1, 1))

    @property
    def said(self) -> str:
        """How many objects were found, in a line."""
        n_missed = sum(one.is_missed for one in self.true)
        n_false = sum(one.verdict == "wrong" for one in self.found)
        n = len(self.true)
        text = f"{n - n_missed} of {n} found" if n else "nothing to find"
        return f"{text}, {n_false} false" if n_false else text


def draw_box_sheet(
    examples: Sequence[DetectedExample], title: str, scale: Scale = "fixed"
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws pictures with their boxes, and below each the found objects' proposals under the maps.

    Pictures without a mistake come first. Of the found of a picture at most six have a crop: the
    surest ones.

    Args:
        examples: At least one; pictures may differ in size.
        title: The line at the top.
        scale: That of `overlay`.
    """
    with_maps = any(len(one.maps) for example in examples for one in example.found)
    most = max(min(len(example.found), MOST_CROPS) for example in examples) if with_maps else 0
    shapes = [_shown_size(example.frame) for example in examples]
    tall = max(height for height, _ in shapes)
    crops_at = tall + LINE + 8
    n_rows = -(-most // _IN_ROW)
    cell = (SIDE, crops_at + n_rows * (CROP + LINE + _GAP))

    def paint(canvas: draw.Canvas, example: DetectedExample, x: int, y: int) -> None:
        draw.paste(canvas, _picture(example), x, y)
        said_at = y + tall + LINE - 2
        colour = right_colour(example.is_right)
        draw.draw_text(canvas, example.said, x, said_at, size=13, bold=True, colour=colour)
        if with_maps and len(example.found) > MOST_CROPS:
            text = f"first {MOST_CROPS} of {len(example.found)}"
            draw.draw_text(
                canvas, text, x + SIDE, said_at, size=12, colour=draw.MUTED, anchor="right"
            )
        for i, one in enumerate(example.found[:MOST_CROPS] if with_maps else ()):
            row, column = divmod(i, _IN_ROW)
            top = y + crops_at + row * (CROP + LINE + _GAP)
            _paint_crop(canvas, example.frame, one, x + column * (CROP + _GAP), top, scale)

    labels = ("Without mistakes", "With mistakes")
    sheet = draw_cells(
        examples, paint, cell, title, scale=scale, labels=labels, with_maps=with_maps
    )
    ignores = any(one.verdict == "ignored" for example in examples for one in example.found)
    keys = _keys(sheet.shape[1], ignores=ignores)
    return np.concatenate([sheet[:HEADER], keys, sheet[HEADER:]])


def _shown_size(frame: UInt8[np.ndarray, "H W 3"]) -> tuple[int, int]:
    height, width = frame.shape[:2]
    factor = SIDE / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _picture(example: DetectedExample) -> UInt8[np.ndarray, "h w 3"]:
    height, width = _shown_size(example.frame)
    shrinks = height < len(example.frame)
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    canvas = np.asarray(cv2.resize(example.frame, (width, height), interpolation=how))
    factors = np.array([width / example.frame.shape[1], height / len(example.frame)] * 2)
    # What is right, and the surest of it, lies on top.
    found_boxes = sorted(example.found, key=lambda one: (one.verdict == "right", one.score))
    for true in example.true:
        if not true.is_missed:
            _outline(canvas, true.box * factors, draw.TEXT, 1)
    for found in found_boxes:
        _outline(canvas, found.box * factors, _COLOURS[found.verdict], 2)
    for true in example.true:
        if true.is_missed:
            _outline(canvas, true.box * factors, draw.WARNING, 2)
            _tag(canvas, true.box * factors, true.name, draw.WARNING, below=True)
    for found in found_boxes:
        text = f"{found.name} {percent(found.score)}"
        _tag(canvas, found.box * factors, text, _COLOURS[found.verdict])
    return canvas


def _outline(
    canvas: draw.Canvas, box: Float[np.ndarray, " 4"], colour: draw.Colour, thickness: int
) -> None:
    x1, y1, x2, y2 = (round(float(edge)) for edge in box)
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, thickness)


def _tag(
    canvas: draw.Canvas,
    box: Float[np.ndarray, " 4"],
    text: str,
    colour: draw.Colour,
    *,
    below: bool = False,
) -> None:
    """Writes dark on the colour at a box: above it, or below; inside where there is no room."""
    height, width = canvas.shape[:2]
    text = draw.fit_text(text, width - 4, _TEXT)
    wide, tall = draw.text_width(text, _TEXT) + 4, _TEXT + 4
    left = int(np.clip(round(float(box[0])) - 1, 0, width - wide))
    top = float(box[3]) + 1 if below else float(box[1]) - tall
    if not 0 <= top <= height - tall:
        top = float(box[3]) - tall - 2 if below else float(box[1]) + 2
    row = int(np.clip(round(top), 0, max(height - tall, 0)))
    draw.draw_box(canvas, left, row, wide, tall, colour)
    draw.draw_text(canvas, text, left + 2, row + tall - 4, size=_TEXT, colour=draw.BACKGROUND)


def _paint_crop(
    canvas: draw.Canvas,
    frame: UInt8[np.ndarray, "H W 3"],
    found: FoundBox,
    x: int,
    y: int,
    scale: Scale,
) -> None:
    """Paints what lies in a proposal under its map, its sides as in the picture."""
    x1, y1, x2, y2 = map(float, found.proposal)
    factor = CROP / max(x2 - x1, y2 - y1, 1e-6)
    size = tuple(max(12, round(side * factor)) for side in (y2 - y1, x2 - x1))
    shown = crop(frame, found.proposal, (size[0], size[1]))
    lit = overlay(shown, found.maps.mean(axis=0), scale=scale)
    draw.paste(canvas, lit, x, y)
    text = draw.fit_text(f"{found.name} {percent(found.score)}", CROP, _TEXT)
    colour = _COLOURS[found.verdict]
    draw.draw_text(canvas, text, x, y + CROP + LINE - 5, size=_TEXT, colour=colour)


def _keys(width: int, *, ignores: bool) -> draw.Canvas:
    strip = draw.blank(_KEYS, width)
    keys = [
        ("an object", draw.TEXT),
        ("found", draw.VALUE),
        ("found, wrong", draw.PENALTY),
        ("missed", draw.WARNING),
        *([("in an ignored region", draw.MUTED)] if ignores else []),
    ]
    text = f"found: {LEAST_SCORE:.0%} or surer, overlap {LEAST_OVERLAP:g} or more"
    draw.draw_keys(strip, keys, width - MARGIN, _KEYS - 10)
    draw.draw_text(strip, text, MARGIN, _KEYS - 10, size=12, colour=draw.MUTED)
    return strip
