"""A map value has to look alike on every ground, for every eye, and an even map like none."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.render import overlay
from rl_abn.render.overlay import MAP_LIGHTNESS
from tests.render.cielab import BLINDNESS, difference, lab

RNG = np.random.default_rng(0)
GROUNDS = {
    "black": (0, 0, 0),
    "grey road": (105, 105, 105),
    "grass": (102, 204, 102),
    "maze": (228, 111, 111),
    "sea": (24, 26, 167),
    "white": (255, 255, 255),
}
SIZE = (48, 48)


def ground(name: str) -> np.ndarray:
    if name == "textured":
        return RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return np.full((*SIZE, 3), GROUNDS[name], np.uint8)


def full(value: float) -> np.ndarray:
    return np.full((9, 9), value, np.float32)


def ramp() -> np.ndarray:
    """A map that is its column's share everywhere: 0 at the left, 1 at the right."""
    return np.tile(np.linspace(0.0, 1.0, SIZE[1], dtype=np.float32), (SIZE[0], 1))


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("name", [*GROUNDS, "textured"])
def test_the_seen_difference_is_in_proportion_to_the_value(name: str, blindness: str) -> None:
    frame, values = ground(name), ramp()
    rest, lit = overlay(frame, full(0.0)), overlay(frame, values)
    added = lab(lit, blindness)[..., 0] - lab(rest, blindness)[..., 0]
    # Eyes notice about 1 to 2 units of CIELAB; random colours leave what a screen can show most.
    assert np.abs(added - MAP_LIGHTNESS * values).max() <= (5.0 if name == "textured" else 2.5)
    seen = difference(lit, rest, blindness)
    assert np.corrcoef(seen.ravel(), values.ravel())[0, 1] >= 0.995
    if name != "textured":
        assert (np.diff(lab(lit, blindness)[0, :, 0]) >= -0.5).all()


def test_attended_black_is_lighter_than_unattended_white() -> None:
    dark, bright = overlay(ground("black"), full(1.0)), overlay(ground("white"), full(0.0))
    assert lab(dark)[0, 0, 0] >= lab(bright)[0, 0, 0] + 4.0


@pytest.mark.parametrize("name", GROUNDS)
def test_an_even_map_is_even_and_adds_next_to_no_colour(name: str) -> None:
    frame = ground(name)
    noise = np.random.default_rng(1).uniform(-0.0013, 0.0013, (9, 9)).astype(np.float32)
    shown = overlay(frame, 0.5 + noise)
    assert difference(shown, overlay(frame, full(0.5))).max() <= 1.0
    chroma = [np.hypot(*lab(picture)[0, 0, 1:]) for picture in (shown, frame)]
    assert chroma[0] <= chroma[1] + 7.0


def test_a_half_map_leaves_a_grey_road_as_light_as_it_is() -> None:
    frame = ground("grey road")
    assert abs(lab(overlay(frame, full(0.5)))[0, 0, 0] - lab(frame)[0, 0, 0]) <= 2.0


@pytest.mark.parametrize("name", GROUNDS)
def test_without_attention_a_picture_is_dimmed_and_keeps_its_hue(name: str) -> None:
    frame = ground(name)
    before, after = lab(frame)[0, 0], lab(overlay(frame, full(0.0)))[0, 0]
    assert after[0] <= before[0]
    assert np.hypot(*after[1:]) <= np.hypot(*before[1:]) + 1.0
    if np.hypot(*before[1:]) > 5.0:
        turned = np.arctan2(before[2], before[1]) - np.arctan2(after[2], after[1])
        assert np.cos(turned) >= 0.99
