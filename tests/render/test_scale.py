"""Which value is shown how strongly, and what is written beside it."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import colour_bar, overlay, overlay_grid, scale_of
from rl_abn.render import draw as look
from rl_abn.render.scale import (
    MOST_TIMES_EVEN,
    check_scale,
    end_labels,
    range_label,
    scale_label,
    scaled,
)


def between(low: float, high: float) -> np.ndarray:
    return np.array([[low, high]], np.float32)


@pytest.mark.parametrize(
    ("low", "high", "label"),
    [
        (0.0, 1.0, "0.00 – 1.00"),
        (0.4987, 0.5013, "0.4987 – 0.5013"),
        (0.48, 0.52, "0.480 – 0.520"),
        (0.123456, 0.123460, "0.1234560 – 0.1234600"),
        (0.5, 0.5, "0.50 everywhere"),
        (0.5, 0.5 + 1e-7, "0.50 everywhere"),
    ],
)
def test_a_range_has_digits_that_tell_its_ends_apart(low: float, high: float, label: str) -> None:
    assert range_label(np.array([[low, high]]), "fixed") == label
    assert range_label(np.array([[low, high]]), "frame") == label
    assert range_label(np.array([[low, high]]), "even").split(" × even")[0] in label


def test_multiples_of_an_even_map_have_a_fixed_scale_of_their_own() -> None:
    np.testing.assert_allclose(scaled(between(0.0, 4.0), "even"), [[0.0, 4 / MOST_TIMES_EVEN]])
    np.testing.assert_allclose(scaled(between(1.0, 81.0), "even"), [[1 / MOST_TIMES_EVEN, 1.0]])
    np.testing.assert_allclose(scaled(between(1.5, 40.0), "even_frame"), [[0.0, 1.0]])
    assert range_label(between(0.25, 12.5), "even") == "0.25 – 12.50 × even"
    assert end_labels("even") == ("0", f"{MOST_TIMES_EVEN}+")


def test_maps_that_sum_to_1_take_the_scale_of_multiples() -> None:
    assert scale_of("fixed", sums_to_one=False) == "fixed"
    assert scale_of("frame", sums_to_one=False) == "frame"
    assert scale_of("fixed", sums_to_one=True) == "even"
    assert scale_of("frame", sums_to_one=True) == "even_frame"


def test_stretched_scales_are_marked_as_not_comparable() -> None:
    for scale in ("frame", "even_frame"):
        text, colour = scale_label(scale)
        assert "not comparable" in text
        assert colour == look.WARNING
    for scale in ("even", "even_frame"):
        assert "× even" in scale_label(scale)[0]
    with pytest.raises(RlAbnError, match="'fixed', 'frame', 'even' or 'even_frame', got 'log'"):
        check_scale("log")


def test_a_colour_bar_shows_what_the_overlay_shows() -> None:
    bar = colour_bar(12, 200, "even")
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    for row, ground in ((0, black), (11, white)):
        for value in (0.0, MOST_TIMES_EVEN):
            end = overlay(ground, np.array([[value, value]], np.float32), scale="even")[0, 0]
            assert (bar[row] == end).all(axis=-1).any()


def test_a_grid_of_multiples_has_its_legend_below() -> None:
    frames = np.zeros((2, 60, 160, 3), np.uint8)
    maps = np.full((2, 1, 9, 9), 1.0, np.float32)
    plain, grid = overlay_grid(frames, maps), overlay_grid(frames, maps, "even")
    assert grid.shape[0] > plain.shape[0] == 60
    assert (grid[60:] == np.array(look.MUTED)).all(axis=-1).any()  # the label
    assert not np.array_equal(grid[:60], plain)  # an even map is weak, a map of ones is not
    narrow = overlay_grid(frames[:1, :, :30], maps[:1], "even")
    assert narrow.shape[1] == 30
