"""Parts of scenes: the header line, and a frame with one panel per map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.overlay import check_enlarge, check_frame, colour_bar, enlarged, overlay
from rl_abn.render.scale import Scale, check_scale, range_label, scale_label

MARGIN = 24
GAP = 16
HEADER = 60
COLUMN = 360
BLOCK_GAP = 22
_LABEL = 24
_LEGEND = 32
_MAP_LABELS = {"shared": "Attention map", "policy": "Policy map", "value": "Value map"}


def map_label(name: str) -> str:
    """Returns a map's label in an image."""
    return _MAP_LABELS.get(name, f"{name} map")


def clock(seconds: float) -> str:
    """Returns a time in minutes and seconds, such as 1:05."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


class Header:
    """The line at the top: a title, shortened if too long, and labelled values at the right.

    `status` has each value's label, and the width of the label with its value in pixels.
    """

    def __init__(self, title: str, status: Sequence[tuple[str, int]], width: int) -> None:
        taken = sum(room for _, room in status)
        self._title = draw.fit_text(title, width - 2 * MARGIN - taken, 19, bold=True)
        right = width - MARGIN - taken
        self._positions = [
            (label, right + sum(room for _, room in status[:i]))
            for i, (label, _) in enumerate(status)
        ]

    def paint_static(self, canvas: draw.Canvas) -> None:
        """Paints the title and the labels."""
        draw.draw_text(canvas, self._title, MARGIN, 37, size=19, bold=True)
        for label, x in self._positions:
            draw.draw_text(canvas, label, x, 36, size=11, colour=draw.MUTED)

    def paint(self, canvas: draw.Canvas, values: Sequence[str]) -> None:
        """Paints the values of one step, in the order of their labels."""
        for (label, x), text in zip(self._positions, values, strict=True):
            at = x + draw.text_width(label, 11) + 8
            draw.draw_text(canvas, text, at, 37, size=15, bold=True)


class Panels:
    """A frame, and beside or below it the same frame under each map.

    Args:
        label: Label of the frame.
        map_names: Names of the maps; empty for a network without attention.
        frame_size: The frame's height and width in pixels.
        enlarge: Integer enlargement factor of the frame.
        scale: How map values are shown, see `Scale`.
        seen_rows: Rows of the frame that the maps cover; None is all.
        stacked: Places panels one below the other instead of side by side.

    Attributes:
        width: Width of all panels together, in pixels.
        height: Height of all panels together, in pixels.

    Raises:
        RlAbnError: If the scale is unknown or `enlarge` is no integer >= 1.
    """

    def __init__(
        self,
        label: str,
        map_names: Sequence[str],
        frame_size: tuple[int, int],
        *,
        enlarge: int,
        scale: Scale = "fixed",
        seen_rows: tuple[int, int] | None = None,
        stacked: bool = False,
    ) -> None:
        check_scale(scale)
        check_enlarge(enlarge)
        self._labels = [label, *map(map_label, map_names)]
        self._frame_size = tuple(frame_size)
        self._scale, self._enlarge, self._seen_rows = scale, enlarge, seen_rows
        self._panel = (frame_size[0] * enlarge, frame_size[1] * enlarge)
        pitch = (_LABEL + self._panel[0] + _LEGEND, self._panel[1] + GAP)
        self._pitch = (pitch[0], 0) if stacked else (0, pitch[1])
        further = len(map_names)
        self.width = self._panel[1] + further * self._pitch[1]
        self.height = pitch[0] + further * self._pitch[0]

    @property
    def n_maps(self) -> int:
        """The number of maps."""
        return len(self._labels) - 1

    def check(self, frame: np.ndarray, maps: np.ndarray) -> None:
        """Checks that a frame and its maps fit the panels.

        Raises:
            RlAbnError: If a shape differs.
        """
        check_frame(frame)
        if frame.shape[:2] != self._frame_size:
            raise RlAbnError(
                f"expected a frame of {self._frame_size[0]}×{self._frame_size[1]},"
                f" got {frame.shape[0]}×{frame.shape[1]}"
            )
        if maps.ndim != 3 or maps.shape[0] != self.n_maps:
            raise RlAbnError(f"expected {self.n_maps} maps [m, h, w], got {list(maps.shape)}")

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the parts that do not change: labels and legends."""
        for i, label in enumerate(self._labels):
            left, top = self._corner(i, x, y)
            draw.draw_text(canvas, label, left, top + 13, size=13, colour=draw.MUTED)
            if i > 0:
                self._draw_legend(canvas, left, top + _LABEL + self._panel[0] + 12)

    def paint(
        self,
        canvas: draw.Canvas,
        x: int,
        y: int,
        frame: UInt8[np.ndarray, "H W 3"],
        maps: Float[np.ndarray, "m h w"],
    ) -> None:
        """Paints one frame and its maps over the static part, each map's range above it.

        `frame` is uint8 [H, W, 3], `maps` floats [m, h, w] as `overlay` takes them.
        """
        draw.paste(canvas, enlarged(frame, self._enlarge), x, y + _LABEL)
        for i, attention_map in enumerate(maps, start=1):
            left, top = self._corner(i, x, y)
            picture = overlay(
                frame,
                attention_map,
                scale=self._scale,
                enlarge=self._enlarge,
                seen_rows=self._seen_rows,
            )
            draw.paste(canvas, picture, left, top + _LABEL)
            text = range_label(attention_map, self._scale)
            room = self._panel[1] - draw.text_width(self._labels[i], 13) - 8
            draw.draw_text(
                canvas,
                text,
                left + self._panel[1],
                top + 13,
                size=draw.fit_size(text, room, 12),
                colour=draw.MUTED,
                anchor="right",
            )

    def _corner(self, i: int, x: int, y: int) -> tuple[int, int]:
        # The first panel has no legend, so stacked panels below it move up.
        above = (_LEGEND - GAP) if i > 0 and self._pitch[0] else 0
        return x + i * self._pitch[1], y + i * self._pitch[0] - above

    def _draw_legend(self, canvas: draw.Canvas, x: int, y: int) -> None:
        text, colour = scale_label(self._scale)
        bar_width = min(200, max(64, self._panel[1] * 2 // 5))
        draw.paste(canvas, colour_bar(12, bar_width, self._scale), x, y)
        room = self._panel[1] - bar_width - 12
        draw.draw_text(
            canvas,
            text,
            x + bar_width + 12,
            y + 10,
            size=draw.fit_size(text, room, 12),
            colour=colour,
        )
