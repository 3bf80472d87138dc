"""Colours, text and rectangles painted into numpy images."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

Colour: TypeAlias = tuple[int, int, int]
Canvas: TypeAlias = UInt8[np.ndarray, "_height _width 3"]
Anchor: TypeAlias = Literal["left", "centre", "right"]

BACKGROUND: Colour = (16, 18, 22)
SURFACE: Colour = (26, 29, 35)
RULE: Colour = (50, 55, 64)
TEXT: Colour = (232, 234, 238)
MUTED: Colour = (142, 149, 161)
# Everything about attention is light yellow: maps, the branch's bars, a training video's progress.
ATTENTION: Colour = (240, 222, 150)
POLICY: Colour = (84, 122, 168)
TAKEN: Colour = (150, 205, 255)
VALUE: Colour = (122, 204, 178)
REWARD: Colour = (190, 136, 255)
DRIVER: Colour = (190, 136, 255)
PENALTY: Colour = (242, 104, 100)
WARNING: Colour = (255, 190, 92)


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # matplotlib is slow to import, and only its fonts are used.
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)


@lru_cache(maxsize=2048)
def _text_mask(text: str, size: int, bold: bool) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """Returns the coverage of a line of text, 0..255, and the row of its baseline."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(text)))
    image = Image.new("L", (width, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image), ascent


def blank(height: int, width: int) -> Canvas:
    """Returns an empty canvas of `height` rows and `width` columns."""
    return np.full((height, width, 3), BACKGROUND, dtype=np.uint8)


def text_width(text: str, size: int = 14, bold: bool = False) -> int:
    """Returns the width of a line of text in pixels."""
    return int(_text_mask(text, size, bold)[0].shape[1]) if text else 0


def fit_text(text: str, width: int, size: int = 14, bold: bool = False) -> str:
    """Returns the text, shortened with an ellipsis if it is wider than `width` pixels."""
    if text_width(text, size, bold) <= width:
        return text
    lengths = range(1, len(text) + 1)
    n_kept = bisect_right(lengths, width, key=lambda n: text_width(text[:n] + "…", size, bold))
    return text[:n_kept].rstrip() + "…" if n_kept else ""


def fit_size(text: str, width: int, size: int = 14, smallest: int = 8) -> int:
    """Returns the largest font size up to `size` at which the text fits, at least `smallest`."""
    while size > smallest and text_width(text, size) > width:
        size -= 1
    return size


def draw_text(
    canvas: Canvas,
    text: str,
    x: int,
    baseline: int,
    *,
    size: int = 14,
    colour: Colour = TEXT,
    bold: bool = False,
    anchor: Anchor = "left",
) -> None:
    """Paints one line of text; parts outside the canvas are cut off.

    `x` is the column of its left end, centre or right end, see `anchor`; `baseline` is the row of
    its baseline, `size` the font size in pixels.
    """
    if not text:
        return
    mask, ascent = _text_mask(text, size, bold)
    height, width = mask.shape
    left = x - {"left": 0, "centre": width // 2, "right": width}[anchor]
    top = baseline - ascent
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    alpha = mask[y0 - top : y1 - top, x0 - left : x1 - left, None].astype(np.float32) / 255.0
    region = canvas[y0:y1, x0:x1]
    region[:] = np.rint(region + (np.asarray(colour, np.float32) - region) * alpha)


def draw_box(canvas: Canvas, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    """Fills a rectangle of `width` by `height` pixels with its upper left corner at (x, y)."""
    if width > 0 and height > 0:
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), colour, cv2.FILLED)


def paste(canvas: Canvas, picture: Canvas, x: int, y: int) -> None:
    """Copies an image into the canvas with its upper left corner at (x, y)."""
    canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture


def draw_keys(
    canvas: Canvas, keys: Sequence[tuple[str, Colour]], right: int, baseline: int
) -> None:
    """Paints a legend in one line that ends at column `right`: coloured squares with labels."""
    for label, colour in reversed(keys):
        draw_text(canvas, label, right, baseline, size=12, colour=MUTED, anchor="right")
        right -= text_width(label, 12) + 14
        draw_box(canvas, right, baseline - 9, 9, 9, colour)
        right -= 12
