"""Numbers with their intervals, against what they are by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_abn.estimates import Estimate, clustered_mean, estimate, mean


def test_mean():
    assert mean(np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 1000.0])).value == 151.25


def test_the_interval_is_seeded_and_holds_the_value():
    values = np.random.default_rng(0).exponential(100, 30)
    first, second = mean(values, seed=1), mean(values, seed=1)
    assert first == second
    assert mean(values, seed=2) != first
    assert first.low < first.value < first.high


def test_the_interval_of_a_normal_mean_has_the_textbook_width():
    values = np.random.default_rng(0).normal(0, 1, 400)
    interval = mean(values)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_many_values_are_resampled_in_batches_to_the_same_interval(monkeypatch):
    values = np.random.default_rng(0).exponential(100, 50)
    whole, sizes = mean(values), []

    def counted(samples, axis=None):
        sizes.append(np.size(samples))
        return np.mean(samples, axis=axis)

    monkeypatch.setattr("rl_abn.estimates._MOST_AT_ONCE", 5000)
    assert estimate(values, counted) == whole
    assert max(sizes) == 5000


def test_equal_values_leave_no_doubt():
    assert mean(np.full(5, 7.0)) == (7.0, 7.0, 7.0)


def test_one_value_has_no_interval():
    estimate = mean(np.array([7.0]))
    assert estimate == (7.0, None, None)
    assert f"{estimate:.1f}" == "7.0"


def test_a_format_is_one_for_the_number_and_its_ends():
    number = Estimate(0.25, 0.16, 0.36)
    assert f"{number:+.1f}" == "+0.2 [+0.2, +0.4]"
    assert f"{number.each(math.sqrt):.2f}" == "0.50 [0.40, 0.60]"
    assert Estimate(0.25, None, None).each(math.sqrt) == (0.5, None, None)


def test_values_of_a_cluster_count_as_one() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(20), 10)
    values = rng.normal(size=20)[clusters]
    found, naive = clustered_mean(values, clusters), mean(values)
    assert found.value == pytest.approx(naive.value)
    # Ten copies of a value say no more than one.
    one = mean(values[::10])
    assert (found.low, found.high) == pytest.approx((one.low, one.high), abs=0.03)
    assert found.high - found.low > 2 * (naive.high - naive.low)
    assert clustered_mean(values[:40], clusters[:40]) == Estimate(values[:40].mean(), None, None)
