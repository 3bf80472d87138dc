"""Metrics, against what they are by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, clustered_mean
from rl_abn.vision.tasks.metrics import accuracy, mean_over_blocks, reliability, top_k_correct


def test_top_k() -> None:
    scores = torch.tensor([[0.1, 0.5, 0.4], [3.0, 2.0, 1.0], [-1.0, -2.0, -3.0]])
    targets = torch.tensor([2, 0, 2])
    assert top_k_correct(scores, targets).tolist() == [False, True, False]
    assert top_k_correct(scores, targets, 2).tolist() == [True, True, False]
    assert top_k_correct(scores, targets, 5).tolist() == [True, True, True]


def test_top_k_is_torchs_where_no_scores_are_equal() -> None:
    rng = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(200, 10, generator=rng), torch.randint(10, (200,), generator=rng)
    for k in (1, 3, 5):
        expected = (scores.topk(k).indices == targets[:, None]).any(1)
        assert torch.equal(top_k_correct(scores, targets, k), expected)


def test_saying_the_same_of_all_classes_is_guessing() -> None:
    targets = torch.arange(10).repeat(5)
    assert top_k_correct(torch.zeros(50, 10), targets).float().mean() == pytest.approx(0.1)
    assert top_k_correct(torch.zeros(50, 10), targets, 5).float().mean() == pytest.approx(0.5)
    assert not top_k_correct(torch.full((50, 10), math.nan), targets, 10).any()


def test_accuracy_has_wilsons_interval() -> None:
    right, total, z = 90, 100, 1.959963984540054
    share = right / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * 0.1 / total + z**2 / (4 * total**2))
    interval = accuracy(torch.arange(total) < right)
    assert interval == pytest.approx((share, middle - half, middle + half))
    assert f"{interval:.4g}" == "0.9 [0.8256, 0.9448]"


def test_an_accuracy_of_1_leaves_some_doubt() -> None:
    interval = accuracy(torch.ones(10, dtype=torch.bool))
    assert interval == pytest.approx((1.0, 1 / (1 + 1.959963984540054**2 / 10), 1.0))
    with pytest.raises(RlAbnError, match="expected predictions to count, got none"):
        accuracy(torch.zeros(0, dtype=torch.bool))


def two_classes(confidence: list[float]) -> torch.Tensor:
    """Probabilities of two classes; the first is believed in."""
    sure = torch.tensor(confidence, dtype=torch.double)
    return torch.stack([sure, 1 - sure], 1)


def test_reliability_by_hand() -> None:
    probabilities = two_classes([0.55, 0.6, 0.95, 0.85, 0.99, 0.91])
    targets = torch.tensor([0, 1, 0, 0, 0, 1])
    found = reliability(probabilities, targets, n_bins=5)
    assert found.edges.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found.counts.tolist() == [0, 0, 2, 0, 4]
    assert found.confidence[[2, 4]].tolist() == pytest.approx([0.575, 0.925])
    assert found.accuracy[[2, 4]].tolist() == pytest.approx([0.5, 0.75])
    assert found.confidence[[0, 1, 3]].isnan().all()
    gap = (2 * abs(0.575 - 0.5) + 4 * abs(0.925 - 0.75)) / 6
    assert found.expected_error == pytest.approx(gap)


def test_an_edge_belongs_to_the_bin_below() -> None:
    found = reliability(two_classes([0.5, 0.75, 1.0]), torch.zeros(3, dtype=torch.long), n_bins=4)
    assert found.counts.tolist() == [0, 1, 1, 1]


def test_who_is_right_as_often_as_sure_has_no_calibration_error() -> None:
    probabilities = two_classes([0.75] * 100 + [1.0] * 20)
    targets = torch.tensor([0] * 75 + [1] * 25 + [0] * 20)
    assert reliability(probabilities, targets).expected_error == pytest.approx(0, abs=1e-12)
    always_sure = reliability(two_classes([1.0] * 100), targets[:100])
    assert always_sure.expected_error == pytest.approx(0.25)
    assert len(always_sure.counts) == 15


def test_logits_are_no_probabilities() -> None:
    for wrong in (torch.tensor([[3.0, -1.0]]), torch.tensor([[-3.0, -1.0]])):
        with pytest.raises(RlAbnError, match="logits need a softmax"):
            reliability(wrong, torch.tensor([0]))
    with pytest.raises(RlAbnError, match="logits need a softmax"):
        reliability(torch.full((2, 2), math.nan), torch.tensor([0, 1]))
    with pytest.raises(RlAbnError, match="got none"):
        reliability(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))


# Means along a drive


def one_stretch(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.long)


def test_independent_frames_have_the_textbook_interval() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(3, 1, 2_000))
    interval = mean_over_blocks(values, one_stretch(2_000), block_length=10)
    assert interval.value == pytest.approx(float(values.mean()))
    assert interval.low < interval.value < interval.high
    width = 2 * 1.96 * float(values.std()) / math.sqrt(2_000)
    assert interval.high - interval.low == pytest.approx(width, rel=0.15)


def test_neighbours_that_are_alike_count_once() -> None:
    """Each number 20 times in a row: the interval is that of a twentieth of the frames."""
    numbers = np.random.default_rng(0).normal(0, 1, 200)
    values = torch.from_numpy(np.repeat(numbers, 20))
    interval = mean_over_blocks(values, one_stretch(4_000), block_length=20)
    width = 2 * 1.96 * numbers.std() / math.sqrt(200)
    assert interval.high - interval.low == pytest.approx(width, rel=0.1)
    blind = mean_over_blocks(values, one_stretch(4_000), block_length=1)
    assert blind.high - blind.low == pytest.approx(width / math.sqrt(20), rel=0.1)


def test_the_interval_is_seeded() -> None:
    values = torch.rand(300, generator=torch.Generator().manual_seed(0))
    first = mean_over_blocks(values, one_stretch(300), block_length=30, seed=1)
    assert first == mean_over_blocks(values, one_stretch(300), block_length=30, seed=1)
    assert first != mean_over_blocks(values, one_stretch(300), block_length=30, seed=2)


def test_no_block_spans_an_interruption() -> None:
    """Five stretches are five blocks, however short; the same frames in a row are but one."""
    values = torch.arange(5.0).repeat_interleave(torch.tensor([40, 10, 10, 10, 10]))
    blocks = values.long()
    interval = mean_over_blocks(values, blocks, block_length=1_000)
    assert interval == clustered_mean(values.numpy(), blocks.numpy())
    assert interval.value == 1.25
    assert interval.low < 1 < 2 < interval.high
    alone = mean_over_blocks(values, one_stretch(80), block_length=1_000)
    assert alone == Estimate(1.25, None, None)


def test_equal_errors_leave_no_doubt_and_a_few_blocks_have_no_interval() -> None:
    same = mean_over_blocks(torch.full((250,), 0.25), one_stretch(250))
    assert same == (0.25, 0.25, 0.25)
    for count in (50, 200):
        few = mean_over_blocks(torch.full((count,), 0.25), one_stretch(count))
        assert few == Estimate(0.25, None, None)
        assert f"{few:.4g}" == "0.25"
    with pytest.raises(RlAbnError, match="expected numbers and blocks of 1 frame or more, got 0"):
        mean_over_blocks(torch.zeros(0), one_stretch(0))
