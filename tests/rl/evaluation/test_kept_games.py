"""An evaluation that is cut off goes on with the player whose games were not over."""

from __future__ import annotations

import json

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.files.parts import Part
from rl_abn.rl.evaluation.episodes import GameResult
from rl_abn.rl.evaluation.evaluate import PlayedGames
from rl_abn.rl.evaluation.faithfulness import Faithfulness
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.kept_games import UNFINISHED, KeptGames, Played, name_of
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.runs.contents import check_only_run
from tests.rl.evaluation.recorded import make_run

HOW = {
    "n_games": 1,
    "max_steps": 4,
    "interventions": [InterventionSpec("zero")],
    "with_random": True,
    "device": "cpu",
}


class Report:
    """Remembers which games were played, and stops at one of them."""

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


@pytest.mark.more
def test_it_goes_on_where_it_was_cut_off_and_comes_to_the_same(run):
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(run, **HOW, kept=KeptGames(run), report=Report(2))
    check_only_run(run.path)  # may be overwritten
    kept, report = KeptGames(run), Report()
    found = evaluate_run(run, **HOW, kept=kept, report=report)
    assert (report.skipped, report.played, kept.n_players) == ([(1, 1)], [2, 3], 3)
    assert found.map_reliance["uniform"].value > 0
    assert found == evaluate_run(run, **HOW)
    # A player more, and a game that is to be recorded: these are played.
    report = Report()
    more = [InterventionSpec("uniform"), *HOW["interventions"]]
    evaluate_run(run, **HOW | {"interventions": more}, kept=kept, record=1, report=report)
    assert (report.skipped, report.played) == ([(1, 3), (1, 4)], [1, 2])
    assert len(list((run.path / "episodes").iterdir())) == 1
    kept.forget()
    assert not (run.path / "evaluations" / UNFINISHED).exists()


class AskedError(Exception):
    """Says what games depend on, before any is played."""


@pytest.mark.more
def test_games_of_another_evaluation_are_not_taken(run):
    class Asking(KeptGames):
        def open(self, inputs):
            raise AskedError(json.dumps(inputs, sort_keys=True))

    def inputs(run, **changes):
        with pytest.raises(AskedError) as asked:
            evaluate_run(run, **HOW | changes, kept=Asking(run))
        return str(asked.value)

    other = make_run(run.path.parent / "other", seed=1)  # other weights
    changes = [{}, {"seed": 1}, {"greedy": True}, {"max_steps": 5}, {"n_games": 2}]
    changes.append({"protocol": "machado2018"})
    found = [inputs(run, **change) for change in changes] + [inputs(other)]
    assert len(set(found)) == len(found)
    assert inputs(run, interventions=[], with_random=False) == found[0]


def test_games_that_cannot_be_read_are_played(tmp_path):
    run = make_run(tmp_path / "run")
    good = Played(PlayedGames([GameResult(1.0, 2, False)], 6, 100), {}, None)
    for broken in ({}, {"games": 1}, {**good.as_json(), "games": [[1]]}, [1]):
        kept = KeptGames(run)
        kept.open({"weights": "some"})
        kept._parts.do(name_of("agent"), lambda broken=broken: Part(broken, {}))
        assert kept.do("agent", lambda: good) == (good, False)
        kept.forget()


def test_a_mistake_leaves_nothing(run):
    with pytest.raises(RlAbnError, match="expected a protocol of the game's recipe"):
        evaluate_run(run, **HOW, protocol="legasy", kept=KeptGames(run))
    assert not (run.path / "evaluations" / UNFINISHED).exists()


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
    other = KeptGames(run)
    other.open({"weights": "others"})
    assert other.do("agent", lambda: nothing) == (nothing, False)
    other.forget()
    assert kept.do("agent", lambda: everything) == (nothing, True)  # the others' are left alone
