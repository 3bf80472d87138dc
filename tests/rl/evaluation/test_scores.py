import numpy as np
import pytest

from rl_abn.recipes import load_env
from rl_abn.rl.evaluation.scores import difference, human_normalised, interquartile_mean


def test_interquartile_mean():
    scores = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 1000.0])
    assert interquartile_mean(scores).value == pytest.approx(35.0)  # of 20, 30, 40 and 50


def test_human_normalised():
    scores = load_env("space_invaders").scores
    assert human_normalised(148.0, scores) == 0
    assert human_normalised(1668.7, scores) == pytest.approx(1)
    assert human_normalised((148.0 + 1668.7) / 2, scores) == pytest.approx(0.5)


def test_the_difference_of_two_normal_means_has_the_textbook_width():
    rng = np.random.default_rng(0)
    scores, reference = rng.normal(8, 1, 400), rng.normal(10, 2, 200)
    gap = difference(scores, reference)
    assert gap.value == pytest.approx(scores.mean() - reference.mean())
    assert gap.low < -2 < gap.high
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * (1 / 400 + 4 / 200) ** 0.5, rel=0.1)
    assert gap.share == pytest.approx(gap.value / reference.mean())
    assert gap.excludes_zero
    assert difference(scores, reference, seed=1) == difference(scores, reference, seed=1)


def test_samples_of_one_distribution_are_rarely_told_apart():
    """A 95% interval excludes the truth about once in twenty times."""
    rng = np.random.default_rng(0)
    apart = [
        difference(rng.exponential(100, 50), rng.exponential(100, 50)).excludes_zero
        for _ in range(100)
    ]
    assert 0 < sum(apart) <= 12


def test_the_share_has_the_sign_of_the_difference_where_scores_are_negative():
    """Pong's are, for a bad player."""
    gap = difference(np.full(4, -15.0), np.full(4, -20.0))
    assert gap == (5.0, 5.0, 5.0, 0.25)
    assert str(gap) == "+5.0 [+5.0, +5.0]"
    assert gap.excludes_zero


def test_no_share_of_nothing_and_no_interval_of_one_game():
    assert difference(np.array([3.0, 3.0]), np.zeros(2)).share is None
    one = difference(np.array([3.0]), np.array([4.0, 6.0]))
    assert one == (-2.0, None, None, -0.4)
    assert str(one) == "-2.0"
    assert not one.excludes_zero


def test_equal_scores_do_not_differ():
    same = difference(np.full(5, 7.0), np.full(5, 7.0))
    assert same == (0.0, 0.0, 0.0, 0.0)
    assert not same.excludes_zero
