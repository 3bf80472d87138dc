"""A sheet of examples: images, their maps, predicted and true classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.overlay import check_frame, colour_bar, enlarged, overlay
from rl_abn.render.panels import HEADER, MARGIN
from rl_abn.render.scale import Scale, scale_label

LINE = 18
"""Height of a line of text below an image, in pixels."""
MAX_WIDTH = 1400
"""Maximum width of a sheet in pixels, unless one example is wider."""
_SIDE = 144
_SEAM = 4
_GAP = 20
_LABEL = 26
_LEAST = 420
_BAR = 100


class Shown(Protocol):
    """What every example of a sheet has."""

    @property
    def frame(self) -> UInt8[np.ndarray, "H W 3"]:
        """The network's input as an image."""

    @property
    def maps(self) -> Float[np.ndarray, "m h w"]:
        """The attention maps."""

    @property
    def is_right(self) -> bool:
        """Whether the prediction is correct."""


S = TypeVar("S", bound=Shown)
Paint = Callable[[draw.Canvas, S, int, int], None]
"""Paints an example with its upper left corner at a column and a row."""


@dataclass(frozen=True)
class Example:
    """One example of a sheet.

    Attributes:
        frame: The network's input as an image, uint8 [H, W, 3].
        maps: The attention maps, floats [m, h, w] as `overlay` takes them, m >= 0.
        answer: The predicted class.
        probability: Its probability, 0..1.
        target: The true class.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    maps: Float[np.ndarray, "m h w"]
    answer: str
    probability: float
    target: str

    @property
    def is_right(self) -> bool:
        """Whether the prediction is correct."""
        return self.answer == self.target


def draw_sheet(
    examples: Sequence[Example], title: str, scale: Scale = "fixed"
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws examples: each image, and beside it the same image under its maps.

    Correct predictions come first, wrong ones below. `scale` is that of `overlay`.

    Raises:
        RlAbnError: If there is no example, or they differ in size or number of maps.
    """
    check_alike(examples)
    factor = enlargement(examples[0].frame)
    height, width = (side * factor for side in examples[0].frame.shape[:2])
    cell = ((1 + len(examples[0].maps)) * (width + _SEAM) - _SEAM, height + 2 * LINE + 6)

    def paint(canvas: draw.Canvas, example: Example, x: int, y: int) -> None:
        draw.paste(canvas, enlarged(example.frame, factor), x, y)
        for i, attention_map in enumerate(example.maps, start=1):
            picture = overlay(example.frame, attention_map, scale=scale, enlarge=factor)
            draw.paste(canvas, picture, x + i * (width + _SEAM), y)
        _draw_answer(canvas, example, x, y + height + LINE, cell[0])

    return draw_cells(examples, paint, cell, title, scale=scale)


def draw_cells(
    examples: Sequence[S],
    paint: Paint[S],
    cell: tuple[int, int],
    title: str,
    *,
    scale: Scale,
    labels: tuple[str, str] = ("Right", "Wrong"),
    with_maps: bool | None = None,
) -> draw.Canvas:
    """Lays examples out under a title: correct ones first, wrong ones below, headed by `labels`.

    Args:
        examples: At least one, all alike.
        paint: Paints one example.
        cell: Width and height of one example, in pixels.
        title: Text at the top.
        scale: The maps' scale, for the legend.
        labels: Headings of the correct and of the wrong examples.
        with_maps: Whether the legend has the maps' scale; None asks the first example.
    """
    if with_maps is None:
        with_maps = len(examples[0].maps) > 0
    blocks = [
        (label, [example for example in examples if example.is_right is right])
        for label, right in zip(labels, (True, False), strict=True)
    ]
    blocks = [(label, shown) for label, shown in blocks if shown]
    most = max(1, (MAX_WIDTH + _GAP) // (cell[0] + _GAP))
    columns = _columns([len(shown) for _, shown in blocks], most)
    rows = [-(-len(shown) // columns) for _, shown in blocks]
    room = max(columns * (cell[0] + _GAP) - _GAP, _header_width(title, scale, with_maps))
    canvas = draw.blank(
        HEADER + sum(_LABEL + n * (cell[1] + _GAP) for n in rows) + MARGIN, 2 * MARGIN + room
    )
    _draw_header(canvas, title, scale, with_maps)
    top = HEADER
    for (label, shown), n_rows in zip(blocks, rows, strict=True):
        draw.draw_text(canvas, label, MARGIN, top + 13, size=13, colour=draw.MUTED)
        for i, example in enumerate(shown):
            row, column = divmod(i, columns)
            x = MARGIN + column * (cell[0] + _GAP)
            paint(canvas, example, x, top + _LABEL + row * (cell[1] + _GAP))
        top += _LABEL + n_rows * (cell[1] + _GAP)
    return canvas


def _columns(counts: Sequence[int], most: int) -> int:
    """Returns how many cells a row has: as few rows as `most` allows, the last ones filled best."""

    def rows_and_gaps(columns: int) -> tuple[int, int]:
        return sum(-(-n // columns) for n in counts), sum(-n % columns for n in counts)

    return min(range(1, min(most, max(counts)) + 1), key=rows_and_gaps)


def enlargement(frame: UInt8[np.ndarray, "H W 3"]) -> int:
    """Returns the integer enlargement factor of an image."""
    longest: int = max(frame.shape[:2])
    return max(1, round(_SIDE / longest))


def right_colour(is_right: bool) -> draw.Colour:
    """Returns the colour of a correct or a wrong prediction."""
    return draw.VALUE if is_right else draw.PENALTY


def percent(probability: float) -> str:
    """Returns a probability as text in percent."""
    return f"{100 * probability:.0f}%"


def check_alike(examples: Sequence[Shown]) -> None:
    """Checks that examples fit on one sheet.

    Raises:
        RlAbnError: If there is no example, or they differ in size or number of maps.
    """
    if not examples:
        raise RlAbnError("expected one example or more for a sheet, got none")
    first = examples[0]
    for example in examples:
        check_frame(example.frame)
        if example.frame.shape != first.frame.shape or len(example.maps) != len(first.maps):
            raise RlAbnError(
                "expected examples of one size with as many maps, got "
                f"{list(example.frame.shape)} with {len(example.maps)} beside "
                f"{list(first.frame.shape)} with {len(first.maps)}"
            )


def _legend_width(scale: Scale, with_maps: bool) -> int:
    return draw.text_width(scale_label(scale)[0], 12) + 10 + _BAR if with_maps else 0


def _header_width(title: str, scale: Scale, with_maps: bool) -> int:
    """Returns the width that title and legend need, within limits."""
    wanted = draw.text_width(title, 19, bold=True) + _legend_width(scale, with_maps) + 2 * MARGIN
    return max(_LEAST, min(wanted, MAX_WIDTH))


def _draw_header(canvas: draw.Canvas, title: str, scale: Scale, with_maps: bool) -> None:
    right = canvas.shape[1] - MARGIN
    room = right - MARGIN
    if with_maps:
        text, colour = scale_label(scale)
        draw.draw_text(canvas, text, right, 36, size=12, colour=colour, anchor="right")
        left = right - _legend_width(scale, with_maps)
        draw.paste(canvas, colour_bar(12, _BAR, scale), left, 26)
        room = left - 2 * MARGIN
    draw.draw_text(
        canvas, draw.fit_text(title, room, 19, bold=True), MARGIN, 37, size=19, bold=True
    )


def _draw_answer(canvas: draw.Canvas, example: Example, x: int, baseline: int, room: int) -> None:
    share = percent(example.probability)
    name = draw.fit_text(example.answer, room - draw.text_width(share, 13) - 8, 13, bold=True)
    colour = right_colour(example.is_right)
    draw.draw_text(canvas, name, x, baseline, size=13, colour=colour, bold=True)
    draw.draw_text(canvas, share, x + room, baseline, size=13, colour=draw.MUTED, anchor="right")
    if not example.is_right:
        text = draw.fit_text(f"it is {example.target}", room, 13)
        draw.draw_text(canvas, text, x, baseline + LINE, size=13)
