"""A curve of one control over the last seconds: the network's and the driver's."""

from __future__ import annotations

from collections import deque

from rl_abn.render import draw
from rl_abn.render.curve import Plot, SteadyRange

MIN_HEIGHT = 120
_HEADER = 24
_GUTTER = 46
_FOOTER = 18
_REACHES = (0.2, 0.5, 1.0)


class _SymmetricRange(SteadyRange):
    """An axis range symmetric about 0, at most -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self._reach(_REACHES[0])

    def update(self, low: float, high: float) -> None:
        """Adapts the range to the least and the greatest value shown."""
        most = max(-low, high)
        if most > self.high or 3.0 * most < self.high:
            self._reach(next((reach for reach in _REACHES if reach >= most), _REACHES[-1]))

    def _reach(self, reach: float) -> None:
        self.low, self.high, self.step = -reach, reach, reach / 2.0


class ControlCurve:
    """A panel with one control over the last `history` steps, which are `seconds` long.

    The newest step is at the right edge; the axis is symmetric about 0. Sizes are in pixels.
    """

    def __init__(self, name: str, width: int, height: int, history: int, seconds: float) -> None:
        self._name, self._width, self._height, self._seconds = name, width, height, seconds
        self._shown: deque[float] = deque(maxlen=history)
        self._driven: deque[float | None] = deque(maxlen=history)
        self._plot = Plot(width - _GUTTER, height - _HEADER - _FOOTER, history)
        self._range = _SymmetricRange()

    def push(self, value: float, driven: float | None) -> None:
        """Adds one step: the network's control, and the driver's or None."""
        self._shown.append(value)
        self._driven.append(driven)
        seen = [*self._shown, *(value for value in self._driven if value is not None)]
        self._range.update(min(seen), max(seen))

    def clear(self) -> None:
        """Removes all steps, before another sequence starts."""
        self._shown.clear()
        self._driven.clear()
        self._range = _SymmetricRange()

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the parts that do not change: heading, plot background and time axis."""
        draw.draw_text(canvas, self._name, x, y + 13, size=13, colour=draw.MUTED)
        left = x + _GUTTER
        draw.draw_box(canvas, left, y + _HEADER, self._plot.width, self._plot.height, draw.SURFACE)
        foot, right = y + self._height - 3, x + self._width
        draw.draw_text(canvas, f"−{self._seconds:g} s", left, foot, size=11, colour=draw.MUTED)
        draw.draw_text(canvas, "now", right, foot, size=11, colour=draw.MUTED, anchor="right")

    def paint(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the curves and the axis labels over the static part."""
        if not self._shown:
            return
        left, top = x + _GUTTER, y + _HEADER
        self._plot.paint_ticks(canvas, left, top, self._range)
        driven = list(self._driven)
        # The driver's curve starts after the last step without a driver.
        gaps = [i for i, value in enumerate(driven) if value is None]
        known = [value for value in driven[gaps[-1] + 1 if gaps else 0 :] if value is not None]
        for values, colour in ((known, draw.DRIVER), (list(self._shown), draw.TAKEN)):
            if values:
                self._plot.paint_line(canvas, left, top, values, self._range, colour)
