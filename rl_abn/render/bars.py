"""Bars of action or class probabilities, with the attention branch's below them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rl_abn.render import draw

MIN_ROW = 17
_MAX_ROW = 36
_HEADER = 34


class ActionBars:
    """A panel with one row per action or class: its name, a bar over 0..1 and the percentage.

    The probabilities' legend is `source`, beside the attention branch's. Rows shrink to fit
    `height`; the attribute `height` is what the panel takes, in pixels.
    """

    def __init__(
        self,
        names: Sequence[str],
        width: int,
        height: int,
        *,
        heading: str = "Action probabilities",
        source: str = "policy",
    ) -> None:
        self._names = tuple(names)
        self._heading, self._source = heading, source
        self._row = min(_MAX_ROW, (height - _HEADER) // len(self._names))
        self._width = width
        self._size = 13 if self._row >= 20 else 12
        self.height = _HEADER + self._row * len(self._names)
        widest = max(draw.text_width(name, self._size, bold=True) for name in self._names)
        self._name_width = min(widest, width // 2)
        self._bar_x = self._name_width + 14
        self._bar_width = width - self._bar_x - 46

    @staticmethod
    def least_height(n_actions: int) -> int:
        """Returns the smallest height at which the names stay legible, in pixels."""
        return _HEADER + MIN_ROW * n_actions

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the parts that do not change: heading, names and empty bars."""
        draw.draw_text(canvas, self._heading, x, y + 13, size=13, colour=draw.MUTED)
        for i in range(len(self._names)):
            self._draw_name(canvas, x, y, i, taken=False)
            self._draw_track(canvas, x, y, i)

    def paint(
        self,
        canvas: draw.Canvas,
        x: int,
        y: int,
        probabilities: Float[np.ndarray, " actions"],
        branch: Float[np.ndarray, " actions"] | None,
        action: int,
    ) -> None:
        """Paints the bars of one step over the static part at the same position.

        `probabilities` and the attention branch's, `branch`, are floats [A] in 0..1; the action
        with the index `action` is highlighted.
        """
        if branch is not None:
            keys = ((self._source, draw.POLICY), ("attention branch", draw.ATTENTION))
            draw.draw_keys(canvas, keys, x + self._width, y + 13)
        for i, probability in enumerate(probabilities):
            taken = i == action
            top, thick, thin = self._bar_rows(y, i, branch is not None)
            colour = draw.TAKEN if taken else draw.POLICY
            draw.draw_box(canvas, x + self._bar_x, top, self._length(probability), thick, colour)
            if branch is not None:
                length = self._length(branch[i])
                draw.draw_box(
                    canvas, x + self._bar_x, top + thick + 1, length, thin, draw.ATTENTION
                )
            if taken:
                draw.draw_box(canvas, x - 9, top, 3, thick + (thin + 1 if thin else 0), draw.TAKEN)
                self._draw_name(canvas, x, y, i, taken=True)
            draw.draw_text(
                canvas,
                f"{100.0 * float(probability):.0f}%",
                x + self._width,
                self._baseline(y, i),
                size=self._size,
                colour=draw.TEXT if taken else draw.MUTED,
                bold=taken,
                anchor="right",
            )

    def _length(self, probability: float) -> int:
        return round(min(max(float(probability), 0.0), 1.0) * self._bar_width)

    def _baseline(self, y: int, i: int) -> int:
        return y + _HEADER + i * self._row + self._row // 2 + round(0.36 * self._size)

    def _bar_rows(self, y: int, i: int, with_branch: bool) -> tuple[int, int, int]:
        """Returns the bar's top row, its thickness and the thickness of the branch's bar."""
        whole = round(0.58 * self._row)
        thin = max(3, round(0.16 * self._row)) if with_branch else 0
        top = y + _HEADER + i * self._row + (self._row - whole) // 2
        return top, whole - (thin + 1 if with_branch else 0), thin

    def _draw_track(self, canvas: draw.Canvas, x: int, y: int, i: int) -> None:
        top, thick, _ = self._bar_rows(y, i, with_branch=False)
        draw.draw_box(canvas, x + self._bar_x, top, self._bar_width, thick, draw.SURFACE)

    def _draw_name(self, canvas: draw.Canvas, x: int, y: int, i: int, *, taken: bool) -> None:
        # The bold name is drawn over the plain one, which must not show through.
        draw.draw_box(
            canvas, x, y + _HEADER + i * self._row, self._bar_x - 2, self._row, draw.BACKGROUND
        )
        draw.draw_text(
            canvas,
            draw.fit_text(self._names[i], self._name_width, self._size, bold=taken),
            x,
            self._baseline(y, i),
            size=self._size,
            colour=draw.TEXT if taken else draw.MUTED,
            bold=taken,
        )
