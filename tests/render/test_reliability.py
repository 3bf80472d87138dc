"""Reliability diagrams: bars, gaps and shares are the numbers; empty bins leave a hole."""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes

from rl_abn.errors import RlAbnError
from rl_abn.render.reliability import ReliabilityPanel, draw_reliability, reliability_figure

EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)
PANEL = ReliabilityPanel(
    name="perception branch",
    edges=EDGES,
    counts=(0, 2, 2, 4),
    confidence=(None, 0.4, 0.6, 0.9),
    accuracy=(None, 0.5, 0.5, 0.75),
    expected_error=0.125,
)
NOTHING = ReliabilityPanel(
    "sure", EDGES, (0, 0, 0, 3), (None, None, None, 1), (None,) * 3 + (1,), 0
)


def bars(axes: Axes, container: int) -> list[tuple[float, float, float, float]]:
    """Left, bottom, width and height of each."""
    return [
        (*bar.get_xy(), bar.get_width(), bar.get_height()) for bar in axes.containers[container]
    ]


def flat(rows: list[tuple[float, float, float, float]]) -> list[float]:
    return [value for row in rows for value in row]


def test_bars_are_the_accuracy_and_gaps_reach_from_there_to_the_confidence() -> None:
    above, below = reliability_figure([PANEL], "a title").axes
    accuracy, over, under = (bars(above, i) for i in range(3))
    assert flat(accuracy) == pytest.approx(
        flat([(0.25, 0, 0.25, 0.5), (0.5, 0, 0.25, 0.5), (0.75, 0, 0.25, 0.75)])
    )
    assert flat(over) == pytest.approx(
        flat([(0.25, 0.5, 0.25, 0), (0.5, 0.5, 0.25, 0.1), (0.75, 0.75, 0.25, 0.15)])
    )
    assert flat(under) == pytest.approx(
        flat([(0.25, 0.4, 0.25, 0.1), (0.5, 0.6, 0.25, 0), (0.75, 0.9, 0.25, 0)])
    )
    shares = bars(below, 0)
    assert flat(shares) == pytest.approx(
        flat(
            [
                (edge, 0, 0.25, share)
                for edge, share in zip(EDGES, (0, 0.25, 0.25, 0.5), strict=False)
            ]
        )
    )
    # The gaps, weighted by the shares, are the error in the title.
    gaps = [o[3] + u[3] for o, u in zip(over, under, strict=True)]
    assert sum(g * s[3] for g, s in zip(gaps, shares[1:], strict=True)) == pytest.approx(0.125)
    assert above.get_title() == "perception branch, ECE 0.125"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_panel_each_with_axes_from_0_to_1(n: int) -> None:
    figure = reliability_figure([PANEL] * n, "a title")
    above, below = figure.axes[:n], figure.axes[n:]
    assert len(below) == n
    for axes in figure.axes:
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))
    assert [axes.get_xlabel() for axes in below] == ["confidence"] * n
    assert above[0].get_ylabel() == "accuracy"
    assert below[0].get_ylabel() == "share of answers"


def test_everything_is_inside_the_picture() -> None:
    for panels in ([PANEL], [PANEL] * 3):
        figure = reliability_figure(panels, "a title that is far too long for any picture " * 9)
        figure.canvas.draw()
        edges = figure.bbox
        texts = [figure.texts[0], *figure.legends[0].get_texts()]
        texts += [
            t for axes in figure.axes for t in (axes.title, axes.xaxis.label, axes.yaxis.label)
        ]
        for shown in [*figure.axes, *(text for text in texts if text.get_text())]:
            box = shown.get_tightbbox(figure.canvas.get_renderer())  # type: ignore[attr-defined]
            assert box is not None
            assert edges.x0 <= box.x0 <= box.x1 <= edges.x1
            assert edges.y0 <= box.y0 <= box.y1 <= edges.y1


def test_a_single_full_bin() -> None:
    above, below = reliability_figure([NOTHING], "").axes
    assert flat(bars(above, 0)) == [0.75, 0, 0.25, 1]
    assert [bar[3] for bar in bars(below, 0)] == [0, 0, 0, 1]


@pytest.mark.more
def test_the_picture_is_a_png_and_nobodys_settings_matter() -> None:
    png = draw_reliability([PANEL, NOTHING], "costs $5 or $x_")
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (720, 1056, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    with matplotlib.rc_context({"font.size": 31, "savefig.dpi": 17, "axes.facecolor": "white"}):
        assert draw_reliability([PANEL, NOTHING], "costs $5 or $x_") == png
        assert matplotlib.rcParams["font.size"] == 31


def test_there_is_something_to_draw() -> None:
    with pytest.raises(RlAbnError, match="expected one panel or more"):
        reliability_figure([], "a title")
