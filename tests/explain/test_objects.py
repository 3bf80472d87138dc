"""Pointing game, share of mass and lift, by hand."""

import numpy as np
import pytest
import torch

from rl_abn.explain.objects import find_objects, points_at, under_map


def test_an_even_map_has_a_lift_of_one() -> None:
    mask = np.zeros((3, 8, 8), bool)
    mask[0, 2:4, 2:4] = mask[2, 0:1, 0:8] = True
    found = under_map(torch.ones(3, 4, 4), mask)
    assert found.pictures.tolist() == [0, 2]
    np.testing.assert_allclose(found.share, [4 / 64, 8 / 64])
    np.testing.assert_allclose(found.lift, 1.0)
    # A map without any mass counts as even.
    np.testing.assert_allclose(under_map(torch.zeros(3, 4, 4) - 1, mask).lift, 1.0)


def test_all_mass_on_an_object() -> None:
    maps = torch.zeros(1, 2, 2)
    maps[0, 0, 0] = 5.0
    quarter = np.zeros((1, 2, 2), bool)
    quarter[0, 0, 0] = True
    found = under_map(maps, quarter)
    assert (found.share.item(), found.lift.item(), found.hit.item()) == (1.0, 4.0, 1.0)
    assert under_map(maps, quarter[:, ::-1].copy()).share.item() == 0.0


def test_the_pointing_game_allows_half_a_cell() -> None:
    wide = np.zeros((3, 8, 8))
    wide[:, 4, 4] = 1.0
    mask = np.zeros((3, 8, 8), bool)
    mask[0, 4, 4] = mask[1, 4, 5] = mask[2, 4, 6] = True
    # Cells of 2 pixels: one pixel beside it is near enough, two are not.
    assert points_at(wide, mask, (4, 4)).tolist() == [1.0, 1.0, 0.0]


def test_an_object_that_is_never_there() -> None:
    found = under_map(torch.ones(2, 2, 2), np.zeros((2, 4, 4), bool))
    assert len(found.pictures) == len(found.share) == 0


def test_objects_by_colour() -> None:
    screen = np.zeros((4, 4, 3), np.uint8)
    screen[1, 1] = screen[3, 3] = (10, 20, 30)
    screen[2, 2] = (10, 20, 31)
    objects = {
        "one": {"colours": [[10, 20, 30]]},
        "low": {"colours": [[10, 20, 30]], "rows": [2, 4]},
    }
    found = find_objects(screen, objects)
    assert np.argwhere(found["one"]).tolist() == [[1, 1], [3, 3]]
    assert np.argwhere(found["low"]).tolist() == [[3, 3]]


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_find_objects_returns_booleans(value: float) -> None:
    found = find_objects(np.full((2, 2, 3), int(value), np.uint8), {"x": {"colours": [[7, 7, 7]]}})
    assert found["x"].dtype == bool
    assert found["x"].all() == (value == 7.0)
