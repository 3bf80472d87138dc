"""Reliability diagrams (Guo et al., ICML 2017): accuracy as a function of confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.figures import hex_of, png_of, prepare_axes, titled_figure

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 4.4  # inches
_LEAST = 6.4
_HEIGHT = 6.0
_TITLE = 12  # points
_SIZE = 10


@dataclass(frozen=True)
class ReliabilityPanel:
    """The predictions of one network or branch, in n bins of their confidence.

    Attributes:
        name: Whose predictions they are.
        edges: Edges of the bins, n + 1, from 0 to 1.
        counts: Predictions per bin.
        confidence: Mean confidence per bin, 0..1; None for an empty bin.
        accuracy: Share of correct predictions per bin, 0..1; None for an empty bin.
        expected_error: The expected calibration error, 0..1.
    """

    name: str
    edges: Sequence[float]
    counts: Sequence[float]
    confidence: Sequence[float | None]
    accuracy: Sequence[float | None]
    expected_error: float


def draw_reliability(panels: Sequence[ReliabilityPanel], title: str) -> bytes:
    """Draws reliability diagrams side by side, as a PNG.

    Raises:
        RlAbnError: If there is no panel.
    """
    return png_of(lambda: reliability_figure(panels, title))


def reliability_figure(panels: Sequence[ReliabilityPanel], title: str) -> Figure:
    """Lays reliability diagrams out side by side.

    Each diagram has two axes. Above: a bar per bin as high as its accuracy, with the gap to its
    mean confidence; a calibrated network lies on the diagonal. Below: each bin's share of all
    predictions. The mean of the gaps, weighted by these shares, is the expected calibration error.

    Returns:
        The figure; its axes are the upper ones, then the lower ones.

    Raises:
        RlAbnError: If there is no panel.
    """
    if not panels:
        raise RlAbnError("expected one panel or more for a reliability diagram, got none")
    size = (max(_PANEL * len(panels), _LEAST), _HEIGHT)
    figure = titled_figure(size, title, _TITLE, pad=0.12, gap=0.04)
    rows = figure.subplots(
        2, len(panels), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for panel, above, below in zip(panels, *rows, strict=True):
        _draw_accuracy(above, panel)
        _draw_shares(below, panel)
    rows[0, 0].set_ylabel("accuracy")
    rows[1, 0].set_ylabel("share of answers")
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2 if len(panels) == 1 else 4,
        frameon=False,
        labelcolor=hex_of(draw.MUTED),
        fontsize=_SIZE,
    )
    return figure


def _draw_accuracy(axes: Axes, panel: ReliabilityPanel) -> None:
    _prepare(axes)
    filled = [
        (left, width, accuracy, confidence)
        for (left, width), accuracy, confidence in zip(
            _places(panel), panel.accuracy, panel.confidence, strict=True
        )
        if accuracy is not None and confidence is not None
    ]
    places = [(left, width) for left, width, _, _ in filled]
    right, sure = [a for _, _, a, _ in filled], [c for _, _, _, c in filled]
    over = [max(s - r, 0.0) for s, r in zip(sure, right, strict=True)]
    under = [max(r - s, 0.0) for s, r in zip(sure, right, strict=True)]
    _draw_bars(axes, places, right, 0.0, draw.POLICY, "accuracy")
    _draw_bars(axes, places, over, right, draw.PENALTY, "gap: too sure")
    _draw_bars(axes, places, under, sure, draw.VALUE, "gap: not sure enough")
    axes.plot(
        [0, 1],
        [0, 1],
        color=hex_of(draw.TEXT),
        linestyle="--",
        linewidth=1,
        label="as sure as right",
    )
    title = f"{panel.name}, ECE {panel.expected_error:.3f}"
    axes.set_title(title, size=_SIZE + 1, color=hex_of(draw.TEXT), parse_math=False)


def _draw_shares(axes: Axes, panel: ReliabilityPanel) -> None:
    _prepare(axes)
    total = sum(panel.counts) or 1
    shares = [count / total for count in panel.counts]
    _draw_bars(axes, _places(panel), shares, 0.0, draw.MUTED, "")
    axes.set_xlabel("confidence")
    axes.set_yticks((0, 0.5, 1))


def _draw_bars(
    axes: Axes,
    places: Sequence[tuple[float, float]],
    heights: Sequence[float],
    bottoms: Sequence[float] | float,
    colour: draw.Colour,
    label: str,
) -> None:
    axes.bar(
        [left for left, _ in places],
        heights,
        [width for _, width in places],
        bottoms,
        align="edge",
        color=hex_of(colour),
        edgecolor=hex_of(draw.BACKGROUND),
        linewidth=0.8,
        label=label,
    )


def _places(panel: ReliabilityPanel) -> list[tuple[float, float]]:
    """Returns left end and width of each bin."""
    return [(left, right - left) for left, right in pairwise(panel.edges)]


def _prepare(axes: Axes) -> None:
    """Sets limits 0..1 and the colours of the other images, with labels below both rows."""
    prepare_axes(axes, _SIZE - 1)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(labelbottom=True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=hex_of(draw.MUTED), size=_SIZE)
