"""An evaluation that is cut off goes on with the player whose games were not over."""

from __future__ import annotations

import pytest

from rl_abn.estimates import Estimate
from rl_abn.rl.evaluation.episodes import GameResult
from rl_abn.rl.evaluation.evaluate import PlayedGames
from rl_abn.rl.evaluation.faithfulness import Faithfulness
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.kept_games import UNFINISHED, KeptGames, Played
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from tests.rl.evaluation.recorded import make_run

HOW = {
    "n_games": 2,
    "max_steps": 6,
    "interventions": [InterventionSpec("zero"), InterventionSpec("swap")],
    "blind": ["frozen"],
    "with_random": True,
    "device": "cpu",
}


class Report:
    """Remembers which games were played, and stops before one of them."""

    def __init__(self, stop_at=None):
        self.stop_at, self.played, self.skipped = stop_at, [], []

    def update(self, done, **numbers):
        if done == self.stop_at:
            raise KeyboardInterrupt
        self.played.append(done)

    def skip(self, units, done):
        self.skipped.append((units, done))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("kept") / "run")


@pytest.fixture(scope="module")
def whole(run):
    """An evaluation that nothing cut off."""
    return evaluate_run(run, **HOW).as_json()


def cut(run, stop_at, **changes):
    """Evaluates until Ctrl-C during a game."""
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(run, **HOW | changes, kept=KeptGames(run), report=Report(stop_at))


def go_on(run, **changes):
    """Evaluates to the end, and returns the JSON and which games were played."""
    kept, report = KeptGames(run), Report()
    found = evaluate_run(run, **HOW | changes, kept=kept, report=report)
    kept.forget()
    return found.as_json(), report


def test_it_goes_on_where_it_was_cut_off_and_comes_to_the_same(run, whole):
    cut(run, 4)  # in the second player's second game
    cut(run, 6)
    found, report = go_on(run)
    assert found == whole
    assert found["map_reliance"]["uniform"]["value"] > 0
    assert report.skipped == [(2, 2), (2, 4)]
    assert report.played == [5, 6, 7, 8, 9, 10]
    assert not (run.path / "evaluations" / UNFINISHED).exists()


def test_players_that_are_added_are_all_that_is_played(run, whole):
    cut(run, 5, interventions=[HOW["interventions"][1]])
    found, report = go_on(run)
    assert found == whole
    assert report.skipped == [(2, 2), (2, 6)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"greedy": True}, {"max_steps": 5}])
def test_games_of_another_evaluation_are_not_taken(run, change):
    cut(run, 4)
    found, report = go_on(run, **change)
    assert found == evaluate_run(run, **HOW | change).as_json()
    assert report.skipped == []
    # What was cut off is still there, and goes on.
    assert go_on(run)[1].skipped == [(2, 2)]


def test_games_that_are_to_be_recorded_are_played(run, whole):
    cut(run, 4)
    found, report = go_on(run, record=1)
    assert found == whole
    assert report.skipped == []
    assert len(list((run.path / "episodes").iterdir())) == 1


def test_everything_that_came_of_the_games_is_kept(tmp_path):
    run = make_run(tmp_path / "run")
    kl = Estimate(0.1 + 0.2, None, None)
    games = PlayedGames([GameResult(-0.1, 7, True), GameResult(1e300, 8, False)], 6, 108_000)
    everything = Played(games, {"swap": kl}, Faithfulness(kl, Estimate(1.0, 0.9, 1.1), 12))
    nothing = Played(games, {}, None)
    for played in (everything, nothing):
        for was_kept in (False, True):
            kept = KeptGames(run)
            kept.open({"weights": str(played)})
            assert kept.do("agent", lambda played=played: played) == (played, was_kept)
