"""What a drive is worth, in numbers."""

from __future__ import annotations

import dataclasses

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.results import TrackResult, autonomy, difference, summarise

RESULT = TrackResult(
    track=0,
    score=900.0,
    completed=1.0,
    finished=True,
    lost=False,
    n_interventions=0,
    driven_s=20.0,
    off_road_s=0.0,
    autonomy=1.0,
)


def test_autonomy_is_the_share_of_the_time_driven_alone():
    assert autonomy(0, 20.0, 6.0) == 1.0
    assert autonomy(1, 18.0, 6.0) == pytest.approx(0.75)
    assert autonomy(2, 12.0, 6.0) == pytest.approx(0.5)
    assert autonomy(1000, 1.0, 6.0) == pytest.approx(1 / 6001)


def test_few_interventions_are_as_in_bojarski():
    assert autonomy(10, 6000.0, 6.0) == pytest.approx(1 - 10 * 6 / 6000, abs=2e-4)


def test_an_intervention_that_takes_no_time_costs_nothing():
    assert autonomy(3, 20.0, 0.0) == 1.0
    assert autonomy(0, 0.0, 6.0) == 1.0


def test_means_and_seeded_intervals():
    scores = [700.0, 800.0, 850.0, 900.0, 950.0]
    results = [dataclasses.replace(RESULT, score=score) for score in scores]
    results[0] = dataclasses.replace(
        results[0], finished=False, completed=0.8, n_interventions=2, autonomy=0.625
    )
    summary = summarise(results)
    assert summary.n_tracks == 5
    assert summary.score.value == pytest.approx(840.0)
    assert 700 < summary.score.low < 840 < summary.score.high < 950
    assert summary.completed.value == pytest.approx(0.96)
    assert summary.autonomy.value == pytest.approx(0.925)
    assert (summary.n_interventions, summary.n_finished) == (2, 4)
    assert summarise(results) == summary
    assert summarise(results, seed=1).score.value == summary.score.value


def test_the_interval_depends_on_the_seed_and_nothing_else():
    results = [dataclasses.replace(RESULT, score=900 + track**1.5) for track in range(20)]
    assert summarise(results, seed=1) == summarise(results, seed=1)
    assert summarise(results, seed=1).score != summarise(results, seed=2).score


def test_one_track_has_no_interval():
    assert summarise([RESULT]).score == (900.0, None, None)


def test_equal_tracks_leave_no_doubt():
    assert summarise([RESULT] * 3).autonomy == (1.0, 1.0, 1.0)


def test_nothing_has_no_mean():
    with pytest.raises(RlAbnError, match="at least one track, got none"):
        summarise([])


def test_a_difference_is_paired():
    """Hard tracks are hard for both: the gap is sure though scores scatter."""
    results = [dataclasses.replace(RESULT, track=t, score=500 + 90 * (t % 5)) for t in range(20)]
    worse = [dataclasses.replace(r, score=r.score - 50 - r.track % 2) for r in results]
    gap = difference(worse, results)
    assert gap.value == pytest.approx(-50.5)
    assert -50.8 < gap.low < gap.value < gap.high < -50.2


def test_differences_are_of_the_same_tracks():
    other = dataclasses.replace(RESULT, track=1)
    with pytest.raises(RlAbnError, match="the same tracks"):
        difference([RESULT], [other])
