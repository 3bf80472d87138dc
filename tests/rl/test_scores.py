import numpy as np
import pytest

from rl_abn.recipes import load_env
from rl_abn.rl.scores import human_normalised, interquartile_mean, mean


def test_mean_and_interquartile_mean():
    scores = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 1000.0])
    assert mean(scores).value == pytest.approx(151.25)
    assert interquartile_mean(scores).value == pytest.approx(35.0)  # of 20, 30, 40 and 50


def test_the_interval_is_seeded_and_holds_the_value():
    scores = np.random.default_rng(0).exponential(100, 30)
    first, second = mean(scores, seed=1), mean(scores, seed=1)
    assert first == second
    assert mean(scores, seed=2) != first
    assert first.low < first.value < first.high


def test_the_interval_of_a_normal_mean_has_the_textbook_width():
    scores = np.random.default_rng(0).normal(0, 1, 400)
    interval = mean(scores)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_equal_scores_leave_no_doubt():
    assert mean(np.full(5, 7.0)) == (7.0, 7.0, 7.0)


def test_one_game_has_no_interval():
    estimate = mean(np.array([7.0]))
    assert estimate == (7.0, None, None)
    assert str(estimate) == "7.0"


def test_human_normalised():
    scores = load_env("space_invaders").scores
    assert human_normalised(148.0, scores) == 0
    assert human_normalised(1668.7, scores) == pytest.approx(1)
    assert human_normalised((148.0 + 1668.7) / 2, scores) == pytest.approx(0.5)
