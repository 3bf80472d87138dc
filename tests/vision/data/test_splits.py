"""What is held out, and steering as classes."""

from __future__ import annotations

import re

import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.vision.data import block_folds, hold_out, steering_bins


def test_the_same_share_of_every_class_is_held_out() -> None:
    targets = torch.tensor([0] * 100 + [1] * 40 + [2] * 10)[
        torch.randperm(150, generator=torch.Generator().manual_seed(0))
    ]
    split = hold_out(targets, 0.1, seed=1)
    assert targets[split.held_out].bincount().tolist() == [10, 4, 1]
    assert torch.equal(torch.cat(split).sort().values, torch.arange(150))
    assert torch.equal(split.train, split.train.sort().values)
    again, other = hold_out(targets, 0.1, seed=1), hold_out(targets, 0.1, seed=2)
    assert torch.equal(split.held_out, again.held_out)
    assert not torch.equal(split.held_out, other.held_out)


def test_every_class_stays_on_both_sides() -> None:
    targets = torch.tensor([0, 0, 1, 1, 1, 2])
    assert targets[hold_out(targets, 0.01, 0).held_out].tolist() == [0, 1]
    assert sorted(targets[hold_out(targets, 0.99, 0).train].tolist()) == [0, 1, 2]


def test_of_attributes_a_share_of_all_is_held_out() -> None:
    assert len(hold_out(torch.zeros(50, 7), 0.2, 0).held_out) == 10


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(RlAbnError, match="expected a share above 0 and below 1"):
        hold_out(torch.zeros(9, dtype=torch.long), share, 0)


def test_nothing_can_be_held_out_of_classes_of_one() -> None:
    with pytest.raises(RlAbnError, match="expected a class of two pictures or more"):
        hold_out(torch.arange(5), 0.5, 0)


def test_folds_hold_out_everything_once_and_keep_their_distance() -> None:
    folds = block_folds(torch.zeros(103, dtype=torch.long), k=4, margin=5)
    assert torch.equal(torch.cat([fold.held_out for fold in folds]), torch.arange(103))
    assert [len(fold.held_out) for fold in folds] == [25, 26, 26, 26]
    for fold in folds:
        apart = (fold.train[:, None] - fold.held_out[None]).abs().min()
        assert apart == 6
        inner = fold.held_out[0] > 0 and fold.held_out[-1] < 102
        assert len(fold.train) == 103 - len(fold.held_out) - (10 if inner else 5)


def test_without_a_margin_all_else_is_learned_from() -> None:
    for fold in block_folds(torch.zeros(10, dtype=torch.long), k=3, margin=0):
        assert torch.equal(torch.cat(fold).sort().values, torch.arange(10))


def test_folds_are_cut_where_the_drive_was_interrupted() -> None:
    """The gap at 27 is near the cut at 25, that at 60 far from both 50 and 75."""
    blocks = torch.tensor([0] * 27 + [1] * 33 + [2] * 40)
    folds = block_folds(blocks, k=4, margin=3)
    assert [int(fold.held_out[0]) for fold in folds] == [0, 27, 50, 75]
    # No frame is a neighbour across the gap.
    assert folds[0].train[0] == 27
    assert folds[1].train.tolist() == [*range(27), *range(53, 100)]
    assert folds[2].train.tolist() == [*range(47), *range(78, 100)]


@pytest.mark.parametrize(
    ("k", "margin", "message"),
    [
        (1, 0, "expected 2 to 10 folds of 10 frames, got 1"),
        (11, 0, "expected 2 to 10 folds of 10 frames, got 11"),
        (2, -1, "expected a margin of 0 frames or more, got -1"),
        (2, 5, "expected frames to learn from beside fold 1 of 2, got none"),
    ],
)
def test_folds_that_cannot_be(k: int, margin: int, message: str) -> None:
    with pytest.raises(RlAbnError, match=re.escape(message)):
        block_folds(torch.zeros(10, dtype=torch.long), k, margin)


def test_equal_bins() -> None:
    steering = torch.tensor([-1.0, -0.7, -0.5, 0.0, 0.1, 0.499, 0.5, 1.0])
    bins = steering_bins(steering, 4)
    assert bins.edges.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert bins.classes(steering).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]
    expected = [-0.85, -0.5, (0.1 + 0.499) / 3, 0.75]
    assert bins.values.tolist() == pytest.approx(expected)
    torch.testing.assert_close(bins.steering(torch.tensor([3, 0])), torch.tensor([0.75, -0.85]))


def test_an_empty_bin_stands_for_its_middle() -> None:
    bins = steering_bins(torch.tensor([0.9, 0.9]), 5)
    assert bins.values.tolist() == pytest.approx([-0.8, -0.4, 0.0, 0.4, 0.9])


def test_mirrored_steering_is_the_mirrored_class() -> None:
    steering = torch.linspace(-0.97, 0.97, 41)
    bins = steering_bins(steering, 7)
    assert torch.equal(bins.classes(-steering), 6 - bins.classes(steering))


def test_quantile_bins_are_equally_full() -> None:
    steering = torch.rand(1000, generator=torch.Generator().manual_seed(0)) ** 3 * 2 - 1
    bins = steering_bins(steering, 5, "quantile")
    assert bins.classes(steering).bincount().tolist() == [200] * 5
    assert (bins.edges[0], bins.edges[-1]) == (-1, 1)


def test_more_quantiles_than_there_are_steerings() -> None:
    steering = torch.tensor([0.0] * 70 + [-0.5] * 15 + [0.5] * 15)
    with pytest.raises(RlAbnError, match="got 9; the nearest below is 2"):
        steering_bins(steering, 9, "quantile")
    assert steering_bins(steering, 2, "quantile").edges.tolist() == [-1, 0, 1]
    with pytest.raises(RlAbnError, match="choose 'equal'"):
        steering_bins(torch.full((9,), -1.0), 3, "quantile")


def test_bins_that_cannot_be() -> None:
    with pytest.raises(RlAbnError, match="did you mean 'quantile'"):
        steering_bins(torch.zeros(3), 3, "quantiles")
    with pytest.raises(RlAbnError, match="expected 2 to 1,001 bins of some steering, got 1 of 3"):
        steering_bins(torch.zeros(3), 1)
