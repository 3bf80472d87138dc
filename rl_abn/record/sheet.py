"""A sheet of examples: pictures, their maps, and what a network took them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.record import draw
from rl_abn.record.overlay import check_frame, colour_bar, enlarged, overlay
from rl_abn.record.panels import HEADER, MARGIN

_SIDE = 144
_GAP = 20
_LABEL = 26
_LINE = 18
_MAX_WIDTH = 1400


@dataclass(frozen=True)
class Example:
    """One picture of a sheet.

    Attributes:
        frame: What the network sees, uint8 [H, W, 3].
        maps: The attention maps, floats [m, h, w] in 0..1, m from 0.
        answer: What the network says.
        probability: How sure it is, 0..1.
        target: What it is.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    maps: Float[np.ndarray, "m h w"]
    answer: str
    probability: float
    target: str

    @property
    def is_right(self) -> bool:
        """Whether the network is right."""
        return self.answer == self.target


def draw_sheet(examples: Sequence[Example], title: str) -> UInt8[np.ndarray, "height width 3"]:
    """Draws examples, each picture beside the same picture under its maps.

    What the network got right comes first, what it got wrong below.

    Args:
        examples: At least one; all of one size, with as many maps.
        title: The line at the top.

    Raises:
        RlAbnError: There is no example, or they differ in size or maps.
    """
    _check(examples)
    height, width = examples[0].frame.shape[:2]
    factor = max(1, round(_SIDE / max(height, width)))
    n_panels = 1 + len(examples[0].maps)
    cell = (n_panels * (width * factor + 4) - 4, height * factor + 2 * _LINE + 6)
    columns = max(1, min(len(examples), (_MAX_WIDTH + _GAP) // (cell[0] + _GAP)))
    blocks = [
        (label, [example for example in examples if example.is_right is right])
        for label, right in (("Right", True), ("Wrong", False))
    ]
    blocks = [(label, shown) for label, shown in blocks if shown]
    rows = [-(-len(shown) // columns) for _, shown in blocks]
    canvas = draw.blank(
        HEADER + sum(_LABEL + n * (cell[1] + _GAP) for n in rows) + MARGIN,
        2 * MARGIN + max(columns * (cell[0] + _GAP) - _GAP, 420),
    )
    _draw_header(canvas, title, with_maps=n_panels > 1)
    top = HEADER
    for (label, shown), n_rows in zip(blocks, rows, strict=True):
        draw.draw_text(canvas, label, MARGIN, top + 13, size=13, colour=draw.MUTED)
        for i, example in enumerate(shown):
            row, column = divmod(i, columns)
            x = MARGIN + column * (cell[0] + _GAP)
            _draw_example(canvas, example, x, top + _LABEL + row * (cell[1] + _GAP), factor)
        top += _LABEL + n_rows * (cell[1] + _GAP)
    return canvas


def _draw_header(canvas: draw.Canvas, title: str, *, with_maps: bool) -> None:
    right = canvas.shape[1] - MARGIN
    room = right - MARGIN
    if with_maps:
        text = "0..1 fixed scale"
        draw.draw_text(canvas, text, right, 36, size=12, colour=draw.MUTED, anchor="right")
        left = right - draw.text_width(text, 12) - 10 - 100
        draw.paste(canvas, colour_bar(12, 100), left, 26)
        room = left - 2 * MARGIN
    draw.draw_text(
        canvas, draw.fit_text(title, room, 19, bold=True), MARGIN, 37, size=19, bold=True
    )


def _draw_example(canvas: draw.Canvas, example: Example, x: int, y: int, factor: int) -> None:
    height, width = (side * factor for side in example.frame.shape[:2])
    draw.paste(canvas, enlarged(example.frame, factor), x, y)
    for i, attention_map in enumerate(example.maps, start=1):
        picture = overlay(example.frame, attention_map, enlarge=factor)
        draw.paste(canvas, picture, x + i * (width + 4), y)
    room = (1 + len(example.maps)) * (width + 4) - 4
    share = f"{100 * example.probability:.0f}%"
    colour = draw.VALUE if example.is_right else draw.PENALTY
    name = draw.fit_text(example.answer, room - draw.text_width(share, 13) - 8, 13, bold=True)
    draw.draw_text(canvas, name, x, y + height + _LINE, size=13, colour=colour, bold=True)
    draw.draw_text(
        canvas, share, x + room, y + height + _LINE, size=13, colour=draw.MUTED, anchor="right"
    )
    if not example.is_right:
        text = draw.fit_text(f"it is {example.target}", room, 13)
        draw.draw_text(canvas, text, x, y + height + 2 * _LINE, size=13)


def _check(examples: Sequence[Example]) -> None:
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
