import numpy as np

from rl_abn.render import draw
from rl_abn.render.map_bars import map_bars
from rl_abn.render.overlay import overlay


def share_lit(image):
    return (image == draw.ATTENTION).all(axis=2).mean(axis=0)


def test_a_bar_is_as_long_as_its_value():
    image = map_bars(np.array([0.0, 0.5, 1.0], np.float32), height=208, width=30)
    lit = share_lit(image)
    assert lit[:10].max() == 0
    np.testing.assert_allclose(lit[10:19], 100 / 208)
    np.testing.assert_allclose(lit[20:29], 200 / 208)


def test_many_bars_go_into_rows():
    image = map_bars(np.ones(64, np.float32), height=100, width=96)
    assert image.shape == (100, 96, 3)
    rows = (image == draw.ATTENTION).all(axis=2).any(axis=1)
    assert np.diff(np.flatnonzero(np.diff(rows.astype(int)))).size == 3  # two blocks


def test_weights_of_channels_are_bars_and_not_laid_over_the_frame():
    frame = np.random.default_rng(0).integers(0, 256, (21, 16, 3), dtype=np.uint8)
    weights = np.linspace(0, 1, 4, dtype=np.float32)[:, None]
    shown = overlay(frame, weights, enlarge=3, seen_rows=(4, 16))
    assert shown.shape == (63, 48, 3)
    np.testing.assert_array_equal(shown[12:48], map_bars(weights[:, 0], 36, 48))
