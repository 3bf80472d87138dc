"""Curves over the last steps: axis range, plot area, and the value estimate with its rewards."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from rl_abn.render import draw

MIN_HEIGHT = 130
_HEADER = 24
_GUTTER = 46
_LANE_GAP = 8
_REWARD_LANE = 12
_FOOTER = 18
_SUBPIXEL_BITS = 4


def nice_step(span: float, intervals: int) -> float:
    """Returns the smallest of 1, 2, 5 × 10^k that splits `span` into at most `intervals` parts."""
    rough = span / intervals
    power = 10.0 ** math.floor(math.log10(rough))
    # The tolerance keeps a span that is a whole number of steps at that step.
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * (1.0 - 1e-9))


class SteadyRange:
    """An axis range, `low` to `high`, that covers the data and changes rarely.

    It grows, with a margin, when the data leave it, and shrinks only when they fill less than a
    third of it. So the curve does not jump at every step. Labels are `step` apart, in about
    `intervals` intervals.
    """

    def __init__(self, intervals: int = 5) -> None:
        self._intervals = intervals
        # An empty range: the first value is outside it.
        self.low, self.high, self.step = math.inf, -math.inf, 1.0

    def update(self, low: float, high: float) -> None:
        """Adapts the range to the least and the greatest value shown."""
        # A nearly constant value must not fill the whole axis.
        span = max(high - low, 0.05 * max(abs(low), abs(high)), 0.1)
        if self.low <= low and high <= self.high and span * 3.0 >= self.high - self.low:
            return
        middle = 0.5 * (low + high)
        self.step = nice_step(1.2 * span, self._intervals)
        self.low = math.floor((middle - 0.6 * span) / self.step) * self.step
        self.high = math.ceil((middle + 0.6 * span) / self.step) * self.step

    def ticks(self) -> list[float]:
        """Returns the labelled values, from the lower end to the upper."""
        n = round((self.high - self.low) / self.step)
        return [self.low + i * self.step for i in range(n + 1)]

    def label(self, value: float) -> str:
        """Returns a value as text with as many decimals as the step needs."""
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        while not math.isclose(self.step, round(self.step, decimals), rel_tol=1e-6):
            decimals += 1  # 0.25 needs two decimals
        return f"{value + 0.0:.{decimals}f}".replace("-", "−")


class Plot:
    """The plot area, in pixels, of a curve of `history` steps; the newest is at the right edge."""

    def __init__(self, width: int, height: int, history: int) -> None:
        self.width, self.height, self._history = width, height, history

    def fresh_range(self) -> SteadyRange:
        """Returns an empty axis with as many labels as the height allows."""
        return SteadyRange(intervals=min(max(self.height // 45, 2), 5))

    def columns(self, left: int, n: int) -> np.ndarray:
        """Returns the image columns of the last n steps."""
        pitch = (self.width - 6) / max(1, self._history - 1)
        return left + self.width - 5 - np.arange(n - 1, -1, -1) * pitch

    def row(self, value: float, axis: SteadyRange, top: int) -> float:
        """Returns the image row of a value."""
        share = (value - axis.low) / (axis.high - axis.low)
        return top + (1.0 - share) * (self.height - 1)

    def paint_ticks(self, canvas: draw.Canvas, left: int, top: int, axis: SteadyRange) -> None:
        """Paints the axis labels left of the plot, and a grid line for each."""
        for tick in axis.ticks():
            row = round(self.row(tick, axis, top))
            draw.draw_box(canvas, left, row, self.width, 1, draw.RULE)
            draw.draw_text(
                canvas,
                axis.label(tick),
                left - 6,
                row + 4,
                size=11,
                colour=draw.MUTED,
                anchor="right",
            )

    def paint_line(
        self,
        canvas: draw.Canvas,
        left: int,
        top: int,
        values: Sequence[float],
        axis: SteadyRange,
        colour: draw.Colour,
    ) -> None:
        """Paints the last values as a line, with a dot on the newest."""
        rows = np.array([self.row(value, axis, top) for value in values])
        points = np.stack([self.columns(left, len(values)), rows], 1)
        points = np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)
        # OpenCV's thick lines bulge at every joint; two thin ones, half a pixel apart, do not.
        for shift in (-4, 4):
            line = points + np.array([0, shift], np.int32)
            cv2.polylines(canvas, [line], False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(
            canvas,
            (int(points[-1, 0]), int(points[-1, 1])),
            3 << _SUBPIXEL_BITS,
            draw.TEXT,
            cv2.FILLED,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )


class ValueCurve:
    """A panel with the value estimate over the last `history` steps; the newest is at the right."""

    def __init__(self, width: int, height: int, history: int) -> None:
        self._width, self._height, self._history = width, height, history
        self._values: deque[float] = deque(maxlen=history)
        self._rewards: deque[float] = deque(maxlen=history)
        room = height - _HEADER - _LANE_GAP - _REWARD_LANE - _FOOTER
        self._plot = Plot(width - _GUTTER, room, history)
        self._range = self._plot.fresh_range()

    def push(self, value: float, reward: float) -> None:
        """Adds one step's value and reward."""
        self._values.append(value)
        self._rewards.append(reward)
        self._range.update(min(self._values), max(self._values))

    def clear(self) -> None:
        """Removes all steps, before a new episode."""
        self._values.clear()
        self._rewards.clear()
        self._range = self._plot.fresh_range()

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the parts that do not change: heading, plot background and time axis."""
        draw.draw_text(canvas, "Value estimate", x, y + 13, size=13, colour=draw.MUTED)
        left, top = x + _GUTTER, y + _HEADER
        draw.draw_box(canvas, left, top, self._plot.width, self._plot.height, draw.SURFACE)
        lane = top + self._plot.height + _LANE_GAP
        draw.draw_box(canvas, left, lane, self._plot.width, _REWARD_LANE, draw.SURFACE)
        for text, at, baseline, anchor, size in (
            ("reward", left - 6, lane + 10, "right", 10),
            (f"−{self._history} steps", left, y + self._height - 3, "left", 11),
            ("now", x + self._width, y + self._height - 3, "right", 11),
        ):
            draw.draw_text(
                canvas,
                text,
                at,
                baseline,
                size=size,
                colour=draw.MUTED,
                anchor="left" if anchor == "left" else "right",
            )

    def paint(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the curve, the axis labels and the rewards over the static part."""
        if not self._values:
            return
        left, top = x + _GUTTER, y + _HEADER
        self._plot.paint_ticks(canvas, left, top, self._range)
        self._draw_rewards(canvas, left, top + self._plot.height + _LANE_GAP)
        self._plot.paint_line(canvas, left, top, self._values, self._range, draw.VALUE)
        draw.draw_text(
            canvas,
            f"{self._values[-1]:.2f}".replace("-", "−"),
            x + self._width,
            y + 13,
            size=14,
            colour=draw.VALUE,
            bold=True,
            anchor="right",
        )

    def _draw_rewards(self, canvas: draw.Canvas, left: int, lane: int) -> None:
        columns = self._plot.columns(left, len(self._rewards))
        for column, reward in zip(columns, self._rewards, strict=True):
            if reward != 0.0:
                colour = draw.REWARD if reward > 0.0 else draw.PENALTY
                draw.draw_box(canvas, round(column) - 1, lane + 1, 2, _REWARD_LANE - 2, colour)
