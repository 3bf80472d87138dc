from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import colour_bar, overlay
from rl_abn.render.overlay import (
    FRAME_CHROMA,
    FRAME_LIGHTNESS,
    MAP_LIGHTNESS,
    MAP_YELLOW,
    UNSEEN_BRIGHTNESS,
)
from tests.render.cielab import lab

# What rounding to whole numbers of RGB is in CIELAB, where it is most: in the dark.
ROUNDING = 1.5


def lightness(picture: np.ndarray) -> np.ndarray:
    return lab(picture)[..., 0]


def stated(frame: np.ndarray, value: float) -> np.ndarray:
    """What the overlay of a flat map is said to be, in CIELAB."""
    kept = lab(frame) * [FRAME_LIGHTNESS, FRAME_CHROMA, FRAME_CHROMA]
    return np.asarray(kept + value * np.array([MAP_LIGHTNESS, 0.0, MAP_YELLOW]))


def full(value: float, shape: tuple[int, int] = (10, 10)) -> np.ndarray:
    return np.full(shape, value, dtype=np.float32)


def test_zero_map_is_the_stated_transform(frame: np.ndarray) -> None:
    assert np.abs(lab(overlay(frame, full(0.0))) - stated(frame, 0.0)).max() <= ROUNDING


def test_one_map_is_the_stated_transform(frame: np.ndarray) -> None:
    assert np.abs(lab(overlay(frame, full(1.0))) - stated(frame, 1.0)).max() <= ROUNDING


def test_half_map_lies_midway(frame: np.ndarray) -> None:
    ends = [lab(overlay(frame, full(value))) for value in (0.0, 1.0)]
    assert np.abs(lab(overlay(frame, full(0.5))) - (ends[0] + ends[1]) / 2.0).max() <= ROUNDING


def test_light_grows_with_the_map_value(frame: np.ndarray) -> None:
    rest = overlay(frame, full(0.0)).astype(int)
    distances = [
        np.abs(overlay(frame, full(value)).astype(int) - rest) for value in np.linspace(0, 1, 11)
    ]
    for nearer, farther in pairwise(distances):
        assert (farther >= nearer).all()
        assert farther.sum() > nearer.sum()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_game_stays_readable_under_a_flat_map(frame: np.ndarray, value: float) -> None:
    shown = overlay(frame, full(value))
    kept = 0.97 * FRAME_LIGHTNESS
    assert lightness(shown).std() >= kept * lightness(frame).std()
    # Sharp: neighbouring pixels differ by the same share of what they did.
    assert np.abs(np.diff(lightness(shown), axis=1)).mean() >= kept * (
        np.abs(np.diff(lightness(frame), axis=1)).mean()
    )


def test_enlarging_is_nearest_and_keeps_values(frame: np.ndarray) -> None:
    once, thrice = overlay(frame, full(0.3)), overlay(frame, full(0.3), enlarge=3)
    assert thrice.shape == (630, 480, 3)
    assert np.array_equal(thrice, once.repeat(3, axis=0).repeat(3, axis=1))


def test_map_covers_the_whole_frame_in_place() -> None:
    black = np.zeros((210, 160, 3), dtype=np.uint8)
    corner = full(0.0, (7, 4))
    corner[6, 3] = 1.0
    lit = overlay(black, corner)[..., 0]
    assert lit[:150].max() == 0
    assert lit[:, :80].max() == 0
    assert lit[209, 159] == lit.max() > 100


def test_interpolation_adds_no_peaks() -> None:
    black = np.zeros((210, 160, 3), dtype=np.uint8)
    checker = full(0.5)
    checker[5, 5] = 0.9
    lit = lightness(overlay(black, checker))
    assert lit.min() >= MAP_LIGHTNESS * 0.5 - 0.5
    assert lit.max() <= MAP_LIGHTNESS * 0.9 + 0.5


def test_values_outside_the_range_are_clipped(frame: np.ndarray) -> None:
    assert np.array_equal(overlay(frame, full(1.7)), overlay(frame, full(1.0)))
    assert np.array_equal(overlay(frame, full(-0.4)), overlay(frame, full(0.0)))


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
@pytest.mark.filterwarnings("error")
def test_flat_map_under_frame_scale_shows_no_structure(frame: np.ndarray, value: float) -> None:
    noise = np.random.default_rng(0).uniform(-1e-8, 1e-8, (10, 10))
    shown = overlay(frame, full(value) + noise, scale="frame")
    assert np.array_equal(shown, overlay(frame, full(0.0)))


def test_frame_scale_stretches_to_the_full_range(frame: np.ndarray) -> None:
    ramp = np.tile(np.linspace(0.0, 1.0, 10), (10, 1))
    shown = overlay(frame, 0.4 + 0.1 * ramp, scale="frame").astype(int)
    assert np.abs(shown - overlay(frame, ramp)).max() <= 1


def test_inputs_are_not_changed(frame: np.ndarray) -> None:
    attention_map = np.random.default_rng(0).uniform(-0.5, 1.5, (10, 10))
    before = frame.copy(), attention_map.copy()
    for scale in ("fixed", "frame"):
        overlay(frame, attention_map, scale=scale)
    assert np.array_equal(frame, before[0])
    assert np.array_equal(attention_map, before[1])


def test_views_are_taken_as_they_look(frame: np.ndarray) -> None:
    attention_map = np.random.default_rng(0).random((10, 10))
    shown = overlay(frame[:, ::-1], attention_map[::-1].T)
    assert np.array_equal(shown, overlay(frame[:, ::-1].copy(), attention_map[::-1].T.copy()))


def test_colour_bar_is_monotone_and_marks_its_scale() -> None:
    fixed, stretched = colour_bar(14, 200, "fixed"), colour_bar(14, 200, "frame")
    assert fixed.shape == stretched.shape == (14, 200, 3)
    for row in (2, 12):  # on black, and on white
        ramp = lightness(fixed)[row, 20:180]
        assert (np.diff(ramp) >= -0.1).all()
        assert ramp[-1] - ramp[0] > 0.85 * MAP_LIGHTNESS
    assert not np.array_equal(fixed, stretched)


@pytest.mark.parametrize(
    ("bad_frame", "bad_map", "message"),
    [
        (np.zeros((210, 160), np.uint8), full(0.0), "uint8"),
        (np.zeros((210, 160, 3), np.float32), full(0.0), "float32"),
        (np.zeros((210, 160, 3), np.uint8), np.zeros((1, 10, 10)), r"\[1, 10, 10\]"),
        (np.zeros((210, 160, 3), np.uint8), full(np.nan), "NaN"),
    ],
)
def test_wrong_arrays_are_refused(bad_frame: np.ndarray, bad_map: np.ndarray, message: str) -> None:
    with pytest.raises(RlAbnError, match=message):
        overlay(bad_frame, bad_map)


def test_wrong_options_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(RlAbnError, match="'log'"):
        overlay(frame, full(0.0), scale="log")  # type: ignore[arg-type]
    with pytest.raises(RlAbnError, match="enlarge"):
        overlay(frame, full(0.0), enlarge=0)
    with pytest.raises(RlAbnError, match="8×64"):
        colour_bar(4, 20)


@pytest.mark.parametrize("rows", [(2, 170), (34, 194), (0, 210)])
@pytest.mark.parametrize("enlarge", [1, 3])
def test_a_map_covers_the_rows_that_are_seen(
    frame: np.ndarray, rows: tuple[int, int], enlarge: int
) -> None:
    attention_map = np.random.default_rng(0).random((10, 10), dtype=np.float32)
    shown = overlay(frame, attention_map, enlarge=enlarge, seen_rows=rows)
    top, end = (row * enlarge for row in rows)
    assert np.array_equal(
        shown[top:end], overlay(frame[slice(*rows)], attention_map, enlarge=enlarge)
    )
    dark = np.concatenate([shown[:top], shown[end:]])
    plain = frame.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    unseen = np.concatenate([plain[:top], plain[end:]])
    assert dark.shape == unseen.shape
    assert np.abs(dark - UNSEEN_BRIGHTNESS * unseen).max(initial=0.0) <= 1.0


@pytest.mark.parametrize("rows", [(-1, 10), (10, 10), (34, 211)])
def test_rows_that_are_not_on_the_frame_are_refused(
    frame: np.ndarray, rows: tuple[int, int]
) -> None:
    with pytest.raises(RlAbnError, match="within 0 to 210"):
        overlay(frame, full(0.5), seen_rows=rows)
