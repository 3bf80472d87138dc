"""Charts as inline SVG: intervals beside each other, and lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from rl_abn.estimates import Estimate
from rl_abn.explain.report import Chart, Curves

COLOURS = {"own": "#0b62a4", "control": "#8a8a8a", "inverse": "#b5651d", "rival": "#3f8f6b"}
# Told apart by people who see few colours, too (Okabe and Ito), dark enough for a white page.
_LINES = ("#0072b2", "#8a8a8a", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#000000", "#7a6ff0")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_WIDTH, _LEFT, _RIGHT, _ROW = 760, 190, 150, 22


def interval_chart(chart: Chart) -> str:
    """Draws numbers with intervals, a row each."""
    rows = [row for row in chart.rows if math.isfinite(row[2].value)]
    if not rows:
        return ""
    ends = [end for _, _, e in rows for end in (e.value, e.low, e.high) if end is not None]
    if chart.zero is not None:
        ends.append(chart.zero)
    ticks = nice_ticks(min(ends), max(ends))
    low, high = min(*ends, ticks[0]), max(*ends, ticks[-1])
    inner = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + inner * (value - low) / max(high - low, 1e-12)

    bottom = _ROW * len(rows) + 10
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 34}" role="img" aria-label="{escape(chart.title)}">'
    ]
    for tick in ticks:
        parts.append(_line(x(tick), 4, x(tick), bottom, "#e3e3e3"))
        parts.append(_text(x(tick), bottom + 14, f"{tick:g}", "middle", "axis"))
    if chart.zero is not None:
        parts.append(_line(x(chart.zero), 4, x(chart.zero), bottom, "#555", 1.4))
    if chart.unit:
        parts.append(_text(_LEFT + inner / 2, bottom + 30, chart.unit, "middle", "axis"))
    for i, (name, group, estimate) in enumerate(rows):
        y = _ROW * i + _ROW / 2 + 6
        colour = COLOURS.get(group, COLOURS["own"])
        parts.append(_text(_LEFT - 8, y + 4, name, "end"))
        if estimate.low is not None and estimate.high is not None:
            parts.append(_line(x(estimate.low), y, x(estimate.high), y, colour, 2.4))
        parts.append(f'<circle cx="{x(estimate.value):.1f}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(
            _text(_WIDTH - _RIGHT + 10, y + 4, number(estimate, chart.form), "start", "value")
        )
    return "".join([*parts, "</svg>"])


def curve_chart(curves: Curves) -> str:
    """Draws lines over shares of 0 to 1, with their names beside them."""
    width, height, left, right, bottom = 760, 294, 60, 200, 44
    values = [value for _, _, line in curves.lines for value in line if math.isfinite(value)]
    if not values:
        return ""
    ticks = nice_ticks(min([0.0, *values]), max(values))
    low, high = ticks[0], max(ticks[-1], *values)

    def at(share: float, value: float) -> tuple[float, float]:
        return (
            left + (width - left - right) * share,
            height - bottom - (height - bottom - 26) * (value - low) / max(high - low, 1e-12),
        )

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(curves.title)}">']
    for tick in ticks:
        _, y = at(0, tick)
        parts.append(_line(left, y, width - right, y, "#e3e3e3"))
        parts.append(_text(left - 6, y + 4, f"{tick:g}", "end", "axis"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, _ = at(share, low)
        parts.append(_text(x, height - bottom + 16, f"{share:.0%}", "middle", "axis"))
    parts.append(_text((left + width - right) / 2, height - 6, curves.x_label, "middle", "axis"))
    parts.append(_text(left, 12, curves.y_label, "start", "axis"))
    for i, (name, _, line) in enumerate(curves.lines):
        colour = _LINES[i % len(_LINES)]
        dash = _DASHES[i // len(_LINES) % len(_DASHES)]
        points = [at(share, value) for share, value in zip(curves.x, line, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        y = 20 + 18 * i
        parts.append(_line(width - right + 14, y, width - right + 36, y, colour, 2.4))
        parts.append(_text(width - right + 42, y + 4, name, "start"))
    return "".join([*parts, "</svg>"])


def number(value: Estimate | float | str | None, form: str = ".2f") -> str:
    """Returns a cell's text: a number with its interval, a number, or a text."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return format(value, form)


def nice_ticks(low: float, high: float, count: int = 5) -> Sequence[float]:
    """Returns about `count` round numbers that cover a range."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if span / (m * power) <= count + 0.5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 12) for i in range(first, last + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
    )
