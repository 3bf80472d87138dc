"""Learning curves: mean return over steps, a panel a game and a colour an arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.figures import hex_of, png_of, prepare_axes, titled_figure

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.figure import Figure

_PANEL = (5.2, 3.6)  # inches
_COLUMNS = 3
_SIZE = 10  # points
# Told apart by people who see few colours, too (Okabe and Ito), light enough for a dark ground.
COLOURS = ("#56b4e9", "#e69f00", "#2fbf9b", "#cc79a7", "#f0e442", "#d55e00", "#4f8fe0", "#b5b5b5")
STYLES = ("-", "--", ":", "-.")


class Curve(NamedTuple):
    """Mean return over steps.

    Attributes:
        steps: Agent steps [P].
        mean: Mean over the seeds that have come so far [P].
        low: Lower end of its interval [P]; NaN where there is none.
        high: Upper end [P].
        n_seeds: How many seeds have come so far [P].
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_seeds: np.ndarray


Line = tuple[str, str, str, Curve]
"""A curve's game, arm, text in the legend, and points."""


def draw_learning_curves(lines: Sequence[Line], title: str) -> bytes:
    """Draws learning curves as a PNG.

    Raises:
        RlAbnError: If there is no curve.
    """
    return png_of(lambda: learning_curves_figure(lines, title))


def learning_curves_figure(lines: Sequence[Line], title: str) -> Figure:
    """Lays learning curves out, a panel a game; an arm has one colour in all of them.

    Raises:
        RlAbnError: If there is no curve.
    """
    if not lines:
        raise RlAbnError("expected a game that was played to its end, to draw curves, got none yet")
    games = list(dict.fromkeys(game for game, _, _, _ in lines))
    arms = list(dict.fromkeys(arm for _, arm, _, _ in lines))
    n_columns = min(len(games), _COLUMNS)
    n_rows = math.ceil(len(games) / n_columns)
    size = (_PANEL[0] * n_columns, _PANEL[1] * n_rows + 0.4)
    figure = titled_figure(size, title, _SIZE + 2, pad=0.1)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for panel in panels[len(games) :]:
        panel.set_visible(False)
    for game, panel in zip(games, panels, strict=False):
        prepare_axes(panel, _SIZE - 1)
        panel.set_title(game, size=_SIZE + 1, color=hex_of(draw.TEXT), parse_math=False)
        panel.set_xlabel("agent steps", size=_SIZE, color=hex_of(draw.MUTED))
        panel.set_ylabel("mean return, 100 games", size=_SIZE, color=hex_of(draw.MUTED))
        panel.xaxis.set_major_formatter(lambda step, _: _brief(step))
        for _, arm, legend, curve in (line for line in lines if line[0] == game):
            number = arms.index(arm)
            colour = COLOURS[number % len(COLOURS)]
            style = STYLES[number // len(COLOURS) % len(STYLES)]
            panel.fill_between(
                curve.steps, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0
            )
            marker = "o" if len(curve.steps) == 1 else None
            panel.plot(
                curve.steps,
                curve.mean,
                style,
                color=colour,
                linewidth=1.6,
                marker=marker,
                label=legend,
            )
        legend_box = panel.legend(
            frameon=False, labelcolor=hex_of(draw.TEXT), fontsize=_SIZE - 2, loc="best"
        )
        for text in legend_box.get_texts():
            text.set_parse_math(False)
    return figure


def _brief(step: float) -> str:
    if abs(step) >= 1e6:
        return f"{step / 1e6:g}M"
    return f"{step / 1e3:g}k" if abs(step) >= 1e3 else f"{step:g}"
