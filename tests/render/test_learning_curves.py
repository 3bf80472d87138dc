"""Learning curves: panels, colours and legends."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from rl_abn.errors import RlAbnError
from rl_abn.render.learning_curves import Curve, draw_learning_curves, learning_curves_figure


def curve(top, n_seeds=3):
    steps = np.array([0.0, 1e6, 2e6])
    mean = np.array([0.0, top / 2, top])
    width = np.full(3, np.nan if n_seeds == 1 else 1.0)
    return Curve(steps, mean, mean - width, mean + width, np.full(3, n_seeds))


LINES = [
    ("pong", "a", "a (3 seeds)", curve(4)),
    ("pong", "b", "b_$x$ (single run)", curve(2, 1)),
    ("breakout", "b", "b (3 seeds)", curve(8)),
]


def test_a_panel_a_game_and_a_colour_an_arm():
    figure = learning_curves_figure(LINES, "few")
    pong, breakout = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["pong", "breakout"]
    assert [line.get_ydata().tolist() for line in pong.lines] == [[0, 2, 4], [0, 1, 2]]
    assert to_hex(pong.lines[1].get_color()) == to_hex(breakout.lines[0].get_color())
    assert to_hex(pong.lines[0].get_color()) != to_hex(pong.lines[1].get_color())
    legend = [text.get_text() for text in pong.get_legend().get_texts()]
    assert legend == ["a (3 seeds)", "b_$x$ (single run)"]
    assert pong.xaxis.get_major_formatter()(1.5e6, 0) == "1.5M"


def test_it_is_a_png():
    assert draw_learning_curves(LINES, "few").startswith(b"\x89PNG")


def test_nothing_to_draw():
    with pytest.raises(RlAbnError, match="expected a game that was played to its end"):
        draw_learning_curves([], "few")
