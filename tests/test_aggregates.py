"""Statistics over seeds, against numbers computed by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from rl_abn.aggregates import (
    area_under_curve,
    interquartile_mean,
    mean_curve,
    normalised,
    performance_profile,
    probability_of_improvement,
)
from rl_abn.estimates import bootstrap


def array(*values):
    return np.array(values, dtype=np.float64)


def test_area_under_curve_is_the_mean_height():
    # Level at 2 up to step 100, straight to 6 at 200, level to 400: (200 + 400 + 1200) / 400.
    assert area_under_curve(array(100, 200), array(2, 6), 400) == pytest.approx(4.5)
    assert area_under_curve(array(50), array(3), 100) == 3.0
    # A last rollout may end after the last step.
    assert area_under_curve(array(0, 110), array(0, 2), 100) == pytest.approx(1.0)


def test_interquartile_mean_of_all_runs_of_all_games():
    # Together 0 1 2 3 4 5 6 100: without the two lowest and the two highest, (2+3+4+5) / 4.
    found = interquartile_mean([array(0, 100, 3, 4), array(1, 2, 5, 6)])
    assert found.value == 3.5
    assert found.low <= 3.5 <= found.high
    assert found.high > found.low


def test_games_are_resampled_by_themselves():
    """Between games there is a gap, within them none: the interval has no width."""
    found = interquartile_mean([array(1, 1, 1), array(9, 9, 9)])
    assert found == (5.0, 5.0, 5.0)


def test_probability_of_improvement_counts_pairs_and_half_the_ties():
    # (3 > 1), (3 > 2), (3 = 3), (1 = 1), (1 < 2), (1 < 3): (2 + 0.5 + 0.5) / 6.
    found = probability_of_improvement([array(3, 1)], [array(1, 2, 3)])
    assert found.value == pytest.approx(0.5)
    # On a second game every pair is won: the mean of the games, however many runs they have.
    both = probability_of_improvement([array(3, 1), array(5)], [array(1, 2, 3), array(4)])
    assert both.value == pytest.approx(0.75)
    assert both.low is None  # one game has a single run


def test_improvement_of_the_one_is_what_the_other_lacks():
    rng = np.random.default_rng(3)
    one, other = [rng.normal(size=5)], [rng.normal(0.7, size=4)]
    there, back = probability_of_improvement(one, other), probability_of_improvement(other, one)
    assert there.value + back.value == pytest.approx(1.0)
    assert there.low < there.value < there.high


def test_the_interval_of_an_improvement_is_that_of_all_pairs_of_the_runs_drawn():
    rng = np.random.default_rng(4)
    one, other = rng.integers(0, 9, 6).astype(float), rng.integers(1, 10, 5).astype(float)

    def of_all_pairs(ours, theirs, axis=-1):
        gap = ours[..., :, None] - theirs[..., None, :]
        return ((gap > 0) + 0.5 * (gap == 0)).mean(axis=(-2, -1))

    found = probability_of_improvement([one], [other])
    expected = bootstrap((one, other), of_all_pairs, 0)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_the_improvement_of_many_games_takes_little_memory():
    scores = np.random.default_rng(0).normal(size=(2, 100))
    tracemalloc.start()
    probability_of_improvement(scores[:1], scores[1:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # of every pair in every resample it would be 800 MB


def test_certain_improvement_has_no_width():
    assert probability_of_improvement([array(5, 6)], [array(1, 2)]) == (1.0, 1.0, 1.0)


def test_a_single_run_has_no_interval():
    assert interquartile_mean([array(7)]) == (7.0, None, None)
    assert interquartile_mean([array(7), array(1, 2, 3)]).low is None


def test_mean_curve_of_seeds_that_came_differently_far():
    curve = mean_curve([(array(10, 20, 30), array(0, 10, 20)), (array(10, 20), array(4, 20))])
    assert curve.steps.tolist() == [10, 20, 30]
    assert curve.mean.tolist() == [2, 15, 20]
    assert curve.n_seeds.tolist() == [2, 2, 1]
    # Of two seeds the bootstrap's means are either or their middle.
    assert curve.low[:2].tolist() == [0, 10]
    assert curve.high[:2].tolist() == [4, 20]
    assert np.isnan(curve.low[2])
    assert np.isnan(curve.high[2])


def test_mean_curve_reads_between_points():
    curve = mean_curve([(array(0, 20), array(0, 2)), (array(0, 10, 20), array(5, 5, 5))])
    assert curve.mean.tolist() == [2.5, 3.0, 3.5]


def test_steps_that_no_seed_has_are_left_out():
    curve = mean_curve([(array(0, 1), array(1, 1)), (array(5, 6), array(2, 2))])
    assert curve.steps.tolist() == [0, 1, 5, 6]
    assert mean_curve([(array(), array())]).steps.size == 0


def test_long_curves_are_thinned():
    steps = np.arange(1000.0)
    curve = mean_curve([(steps, steps), (steps, steps + 2)])
    assert len(curve.steps) == 200
    np.testing.assert_allclose(curve.mean, curve.steps + 1)


def test_scores_are_put_on_one_scale():
    scores = {"a": array(10, 20), "b": array(5)}
    whole = normalised(scores, {"a": (0, 10), "b": (0, 5)})
    assert [values.tolist() for values in whole] == [[1, 2], [1]]
    assert normalised(scores, {"a": (0, 10)}) is None
    alone = {"a": array(10)}
    assert normalised(alone, {}) == [alone["a"]]


def test_a_performance_profile_is_the_share_above():
    scores = array(1, 2, 3, 4)
    share, low, high = performance_profile(scores, array(0, 2, 3.5, 9))
    assert share.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert (low <= share).all()
    assert (share <= high).all()
    assert (low[0], high[-1]) == (1.0, 0.0)
    assert low[1] < 0.5 < high[1]
