"""Gauges of controls: the network's, the attention branch's and the driver's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_abn.render import draw

_HEADER = 30
_ROW = 62
_TRACK = 16
_BRANCH = 5


class Control(NamedTuple):
    """A control and its range, which is the range of its gauge."""

    name: str
    low: float = -1.0
    high: float = 1.0


class Gauges:
    """A panel with one gauge per control: a bar from 0 to the network's value, and the number.

    The attribute `height` is what the panel takes, in pixels.
    """

    def __init__(self, controls: Sequence[Control], width: int) -> None:
        self._controls, self._width = tuple(controls), width
        self.height = _HEADER + _ROW * len(self._controls)

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the parts that do not change: heading, names, empty gauges, end values."""
        draw.draw_text(canvas, "Controls", x, y + 13, size=13, colour=draw.MUTED)
        for i, control in enumerate(self._controls):
            top = y + _HEADER + i * _ROW
            draw.draw_text(canvas, control.name, x, top + 13, size=13)
            draw.draw_box(canvas, x, top + 20, self._width, _TRACK, draw.SURFACE)
            for value in {control.low, 0.0, control.high}:
                at = self._column(value, i)
                draw.draw_box(canvas, x + min(at, self._width - 1), top + 36, 1, 4, draw.MUTED)
                draw.draw_text(
                    canvas,
                    f"{value + 0.0:g}".replace("-", "−"),
                    x + at,
                    top + 52,
                    size=11,
                    colour=draw.MUTED,
                    anchor="left" if at == 0 else "right" if at == self._width else "centre",
                )

    def paint(
        self,
        canvas: draw.Canvas,
        x: int,
        y: int,
        controls: Float[np.ndarray, " controls"],
        branch: Float[np.ndarray, " controls"] | None,
        driven: Float[np.ndarray, " controls"] | None,
    ) -> None:
        """Paints one step's controls, floats [C], over the static part at the same position.

        `controls` are the network's, `branch` the attention branch's, `driven` the driver's; all
        are clipped to the gauges' ranges.
        """
        keys = [("network", draw.TAKEN)]
        keys += [("attention branch", draw.ATTENTION)] if branch is not None else []
        keys += [("driver", draw.DRIVER)] if driven is not None else []
        draw.draw_keys(canvas, keys, x + self._width, y + 13)
        for i, value in enumerate(controls):
            top = y + _HEADER + i * _ROW
            thick = _TRACK if branch is None else _TRACK - _BRANCH - 1
            self._draw_bar(canvas, x, top + 20, i, float(value), thick, draw.TAKEN)
            if branch is not None:
                under = top + 20 + thick + 1
                self._draw_bar(canvas, x, under, i, float(branch[i]), _BRANCH, draw.ATTENTION)
            draw.draw_box(canvas, x + self._column(0.0, i), top + 18, 1, _TRACK + 4, draw.MUTED)
            if driven is not None:
                at = x + min(max(self._column(float(driven[i]), i) - 2, 0), self._width - 4)
                # Dark edges separate the mark from a bar of nearly the same brightness.
                draw.draw_box(canvas, at - 1, top + 16, 6, _TRACK + 8, draw.BACKGROUND)
                draw.draw_box(canvas, at, top + 16, 4, _TRACK + 8, draw.DRIVER)
            self._draw_numbers(
                canvas, x, top + 13, float(value), None if driven is None else float(driven[i])
            )

    def _draw_numbers(
        self, canvas: draw.Canvas, x: int, baseline: int, value: float, driven: float | None
    ) -> None:
        right = x + self._width
        numbers = [(value, draw.TAKEN)]
        if driven is not None:
            numbers.insert(0, (driven, draw.DRIVER))
        for number, colour in numbers:
            text = f"{number:+.2f}".replace("-", "−")
            draw.draw_text(
                canvas, text, right, baseline, size=14, colour=colour, bold=True, anchor="right"
            )
            right -= 58

    def _draw_bar(
        self,
        canvas: draw.Canvas,
        x: int,
        y: int,
        i: int,
        value: float,
        height: int,
        colour: draw.Colour,
    ) -> None:
        start, end = sorted((self._column(0.0, i), self._column(value, i)))
        draw.draw_box(canvas, x + start, y, end - start, height, colour)

    def _column(self, value: float, i: int) -> int:
        _, low, high = self._controls[i]
        share = (value - low) / (high - low)
        return round(min(max(share, 0.0), 1.0) * self._width)
