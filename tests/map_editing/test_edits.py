"""Edits of maps: boxes, clicks and maps, against what they are by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rl_abn.map_editing.edits import Box, Click, Edit, Edits, covered, density, shared_out
from tests.complaints import complaint

SIZE = (8, 16)  # of pictures; maps are 4×8


def applied(edit: Edit, own: torch.Tensor | None = None, **options: float) -> torch.Tensor:
    own = torch.full((1, 1, 4, 8), 0.4) if own is None else own
    return Edits({"a.png": edit}, **options).apply(own, SIZE)[0]


def test_a_box_counts_by_the_area_it_covers():
    share = covered(Box(1, 0, 4, 3), SIZE, (4, 8))
    assert share[:, :3].tolist() == [[0.5, 1, 0], [0.25, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert share[:, 3:].sum() == 0
    # Whatever the resolution, together it is the box's share of the picture.
    for map_size in ((4, 8), (3, 5), (8, 16), (30, 50)):
        mean = covered(Box(1.5, 2, 9, 7.25), SIZE, map_size).mean().item()
        assert mean == pytest.approx(7.5 * 5.25 / 128, rel=1e-5)
    assert (covered(Box(-5, -5, 99, 99), SIZE, (4, 8)) == 1).all()


def test_boxes_are_removed_and_then_added_in_the_networks_own_map():
    edit = Edit(remove=(Box(0, 0, 8, 8),), add=(Box(4, 0, 6, 4), Box(15, 6, 16, 8)))
    edited = applied(edit)[0]
    assert (edited[:, :2] == 0).all()
    assert (edited[:2, 2] == 1).all()
    assert (edited[2:, 2] == 0).all()
    assert edited[0, 5] == pytest.approx(0.4)
    assert edited[3, 7] == pytest.approx(0.5 * 1 + 0.5 * 0.4)


def test_a_map_of_another_size_is_brought_to_the_networks():
    given = np.zeros((1, 8, 16), np.float32)
    given[0, :2, :2] = 1
    assert applied(Edit(map=given))[0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    small = applied(Edit(map=np.full((1, 2, 2), 0.75, np.float32)))
    assert (small == 0.75).all()
    two = np.stack([np.zeros((4, 8)), np.ones((4, 8))]).astype(np.float32)
    edited = applied(Edit(map=two), torch.rand(1, 2, 4, 8))
    assert edited.mean((1, 2)).tolist() == [0, 1]
    message = complaint(lambda: applied(Edit(map=two)))
    assert message == "edits: 'a.png': expected a map, or one for each of 1, got 2"


def test_clicks_become_a_kernel_density_with_its_maximum_at_1():
    one = density([Click(8, 4)], (9, 17), (9, 17), 1.5)
    assert one.max() == 1
    assert one[4, 8] == 1
    expected = norm.pdf(np.arange(17), 8, 1.5)
    np.testing.assert_allclose(one[4], expected / expected.max(), atol=2e-3)
    two = density([Click(2, 4), Click(2, 4), Click(14, 4)], (9, 17), (9, 17), 1.0)
    assert two[4, 14] / two[4, 2] == pytest.approx(0.5, abs=0.01)
    edited = applied(Edit(clicks=(Click(1, 1),), add=(Box(14, 6, 16, 8),)), bandwidth=0.5)[0]
    assert edited[0, 0] == edited[3, 7] == 1
    assert edited[0, 7] < 0.01


def test_of_maps_that_sum_to_1_edited_ones_do_too():
    own = torch.rand(1, 2, 4, 8, generator=torch.Generator().manual_seed(0)) / 16
    own = shared_out(own)

    def shared(edit: Edit) -> torch.Tensor:
        edited = Edits({"a.png": edit}).apply(own, SIZE, sums_to_one=True)[0]
        torch.testing.assert_close(edited.sum(dim=(1, 2)), torch.ones(2))
        return edited

    torch.testing.assert_close(shared(Edit()), own[0])
    # What is removed goes to the others in their proportion.
    removed = shared(Edit(remove=(Box(0, 0, 8, 8),)))
    assert not removed[:, :, :4].any()
    left = own[0, :, :, 4:]
    torch.testing.assert_close(removed[:, :, 4:], left / left.sum(dim=(1, 2), keepdim=True))
    # An added cell of 1 has half of it all, beside others that sum to 1 without it.
    cell = Box(4, 2, 6, 4)
    empty = shared_out(own[0].clone().index_fill_(1, torch.tensor(1), 0.0))
    given = Edit(map=empty.numpy(), add=(cell,))
    torch.testing.assert_close(shared(given)[:, 1, 2], torch.tensor([0.5, 0.5]))
    # A map's scale is of no account, nor is that of clicks.
    for scale in (0.01, 1.0):
        torch.testing.assert_close(shared(Edit(map=scale * own[0].numpy())), own[0])
        given = Edit(map=scale * empty.numpy(), add=(cell,))
        torch.testing.assert_close(shared(given)[:, 1, 2], torch.tensor([0.5, 0.5]))
    assert shared(Edit(clicks=(Click(1, 1),)))[0, 0, 0] > 1 / 32
    # Nothing is left to share out where all is removed.
    nothing = Edits({"a": Edit(remove=(Box(0, 0, 16, 8),))}).apply(own, SIZE, sums_to_one=True)
    assert not nothing.any()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit(add=(Box(16, 0, 20, 4),)), "a picture of 8x16"),
        (Edit(remove=(Box(-4, 0, 0, 4),)), "a box [left, top, right, bottom]"),
        (Edit(clicks=(Click(3, 8),)), "got x 3, y 8"),
        (Edit(clicks=(Click(-0.5, 2),)), "clicks within"),
    ],
)
def test_boxes_and_clicks_outside_the_image_are_reported(edit: Edit, said: str) -> None:
    assert said in complaint(lambda: applied(edit))


def test_images_not_in_the_set_are_reported_with_the_nearest():
    edits = Edits({"cat/2.png": Edit(), "cat/1.png": Edit(), "cat/9.pgn": Edit()})
    known = Edits({"cat/2.png": Edit(), "cat/1.png": Edit()})
    names = ["cat/1.png", "dog/7.png", "cat/2.png", "cat/9.png"]
    assert known.numbers(names).tolist() == [2, 0]
    assert complaint(lambda: edits.numbers(names)) == (
        "edits: expected pictures of the set, got 'cat/9.pgn': did you mean 'cat/9.png'?"
    )
    assert "there is no name like it" in complaint(lambda: edits.numbers(["x"]))
