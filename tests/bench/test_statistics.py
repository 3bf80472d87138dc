"""Medians and ratios of given numbers."""

from __future__ import annotations

import pytest

from rl_abn.bench.statistics import Spread, ratios


@pytest.mark.parametrize(
    ("numbers", "spread"),
    [([3.0, 1.0, 2.0], (2.0, 1.0, 3.0)), ([4.0, 1.0], (2.5, 1.0, 4.0)), ([7.0], (7.0, 7.0, 7.0))],
)
def test_a_spread_is_median_lowest_and_highest(numbers, spread):
    assert Spread.of(numbers) == spread


def test_of_nothing_there_is_no_spread():
    assert Spread.of([]) is None


def test_ratios_are_taken_within_a_round():
    """The machine is ten times slower in round 1; the ratio of 2 does not see it."""
    row, baseline = {0: 200.0, 1: 20.0, 2: 300.0}, {0: 100.0, 1: 10.0, 2: 100.0}
    assert ratios(row, baseline) == [2.0, 2.0, 3.0]
    assert Spread.of(ratios(row, baseline)) == (2.0, 2.0, 3.0)


def test_rounds_that_one_lacks_are_left_out():
    assert ratios({0: 1.0, 2: 6.0}, {1: 5.0, 2: 3.0}) == [2.0]
