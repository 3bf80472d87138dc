"""Sheets of pictures under their maps, right ones and wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.record import draw as look
from rl_abn.record.sheet import Example, draw_sheet

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def count(shown: np.ndarray, colour: look.Colour) -> int:
    return int((shown == np.array(colour)).all(-1).sum())


def example(answer: str = "cat", n_maps: int = 1) -> Example:
    return Example(PICTURE, np.full((n_maps, 4, 4), 0.5), answer, 0.8, "cat")


def test_a_sheet_has_room_for_all_and_wrong_ones_below() -> None:
    right = draw_sheet([example()] * 12, "A sheet")
    both = draw_sheet([example("dog"), *[example()] * 12], "A sheet")
    assert both.shape[0] > right.shape[0]
    assert count(right, look.PENALTY) == 0 < count(both[right.shape[0] - 100 :], look.PENALTY)
    large = PICTURE.repeat(4, axis=0).repeat(4, axis=1)
    assert np.array_equal(right[86 : 86 + 128, 24 : 24 + 128], large)
    assert draw_sheet([example(n_maps=0)], "One").shape[1] >= 420


def test_examples_of_two_sizes_are_refused() -> None:
    with pytest.raises(RlAbnError, match="got none"):
        draw_sheet([], "Nothing")
    with pytest.raises(RlAbnError, match="one size"):
        draw_sheet([example(), example(n_maps=2)], "Two")
