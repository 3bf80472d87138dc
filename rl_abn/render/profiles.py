"""Performance profiles: which share of games scores more than a threshold, a panel a game."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.figures import hex_of, png_of, prepare_axes, titled_figure
from rl_abn.render.learning_curves import COLOURS, STYLES

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.figure import Figure

_PANEL = (5.2, 3.6)  # inches
_COLUMNS = 3
_SIZE = 10  # points


class Profile(NamedTuple):
    """A performance profile (Agarwal et al., NeurIPS 2021).

    Attributes:
        game: Whose panel it is in.
        label: In the legend.
        thresholds: Scores [T].
        share: Of the games above each, [T].
        low: Lower end of its interval [T].
        high: Upper end [T].
    """

    game: str
    label: str
    thresholds: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def draw_profiles(profiles: Sequence[Profile], title: str) -> bytes:
    """Draws performance profiles as a PNG.

    Raises:
        RlAbnError: If there is none.
    """
    return png_of(lambda: profiles_figure(profiles, title))


def profiles_figure(profiles: Sequence[Profile], title: str) -> Figure:
    """Lays performance profiles out, a panel a game; a label has one colour in all of them.

    Raises:
        RlAbnError: If there is none.
    """
    if not profiles:
        raise RlAbnError("expected a profile to draw, got none")
    games = list(dict.fromkeys(profile.game for profile in profiles))
    labels = list(dict.fromkeys(profile.label for profile in profiles))
    n_columns = min(len(games), _COLUMNS)
    n_rows = math.ceil(len(games) / n_columns)
    figure = titled_figure(
        (_PANEL[0] * n_columns, _PANEL[1] * n_rows + 0.4), title, _SIZE + 2, pad=0.1
    )
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for panel in panels[len(games) :]:
        panel.set_visible(False)
    for game, panel in zip(games, panels, strict=False):
        prepare_axes(panel, _SIZE - 1)
        panel.set_title(game, size=_SIZE + 1, color=hex_of(draw.TEXT), parse_math=False)
        panel.set_xlabel("score", size=_SIZE, color=hex_of(draw.MUTED))
        panel.set_ylabel("share of games above it", size=_SIZE, color=hex_of(draw.MUTED))
        panel.set_ylim(0, 1.02)
        for profile in (each for each in profiles if each.game == game):
            number = labels.index(profile.label)
            colour = COLOURS[number % len(COLOURS)]
            style = STYLES[number // len(COLOURS) % len(STYLES)]
            panel.fill_between(
                profile.thresholds, profile.low, profile.high, color=colour, alpha=0.2, linewidth=0
            )
            panel.plot(
                profile.thresholds,
                profile.share,
                style,
                color=colour,
                linewidth=1.6,
                label=profile.label,
            )
        legend = panel.legend(
            frameon=False, labelcolor=hex_of(draw.TEXT), fontsize=_SIZE - 2, loc="best"
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure
