"""Runs beside each other."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from rl_abn.cli.compare import what_is_better
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_json
from rl_abn.rl.evaluation import compare
from rl_abn.rl.evaluation.compare import compare_runs, kept_scores, labels_of, write_comparison
from rl_abn.runs import METRICS, Run
from tests.rl.evaluation.recorded import STEP, make_run


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


def give_scores(run, scores, name="one", **changes):
    """An evaluation in the run's folder, as `rl-abn eval` writes it."""
    intact = {
        "player": "agent", "protocol": "legacy", "greedy": False,
        "games": [{"score": float(score)} for score in scores],
    }  # fmt: skip
    found = {"step": STEP, "max_steps": None, "evaluations": [{**intact, **changes}]}
    (run.path / "evaluations").mkdir(exist_ok=True)
    write_json(run.path / "evaluations" / f"{name}.json", found)


@pytest.fixture
def runs(tmp_path):
    made = [
        make_run(tmp_path / "abn" / "seed-0", "ppo_abn_paper"),
        make_run(tmp_path / "abn" / "seed-1", "ppo_abn_paper", seed=1),
        make_run(tmp_path / "cnn" / "seed-0", "ppo_cnn"),
    ]
    for run, level in zip(made, (10, 20, 100), strict=True):
        give_scores(run, level + np.arange(8))
    return made


@pytest.mark.more
def test_runs_are_compared(runs, tmp_path):
    found = compare_runs(runs, n_states=4, moment_steps=12, device="cpu")
    assert [each.label for each in found.runs] == ["abn/seed-0", "abn/seed-1", "cnn/seed-0"]
    assert not any(each.played for each in found.runs)
    # The second of two named ones is asked about first: does it improve on the one before it?
    assert found.probabilities["cnn/seed-0", "abn/seed-0"].value == 1.0
    assert found.probabilities["abn/seed-1", "abn/seed-0"].value == 1.0
    # Human-normalised over the two runs of ppo_abn_paper: means of 13.5 and 23.5.
    random, human = 148.0, 1668.7
    assert found.aggregates.keys() == {"ppo_abn_paper"}
    iqm, scale = found.aggregates["ppo_abn_paper"]
    assert scale == "human-normalised"
    assert iqm.value == pytest.approx((18.5 - random) / (human - random))
    pairs = {(each.one, each.other): each for each in found.agreements}
    assert len(pairs) == 3
    assert found.left_out == []
    assert pairs["abn/seed-0", "cnn/seed-0"].maps == ("map", "grad_cam")
    for each in found.agreements:
        assert -1 <= each.similarity.value <= 1
        assert each.kl.value >= 0
    written = write_comparison(found, tmp_path / "out")
    assert [path.name for path in written] == ["comparison.json", "profiles.png"]
    data = json.loads(written[0].read_text())
    assert [run["mean"]["value"] for run in data["runs"]] == [13.5, 23.5, 103.5]


@pytest.mark.full
def test_a_run_beside_itself_agrees(tmp_path):
    run = make_run(tmp_path / "a", "ppo_abn_paper")
    give_scores(run, range(4))
    shutil.copytree(run.path, tmp_path / "b")
    runs = [run, Run.open(tmp_path / "b")]
    found = compare_runs(runs, n_states=4, moment_steps=12, device="cpu")
    (each,) = found.agreements
    assert each.similarity.value == pytest.approx(1.0)
    assert each.kl.value == pytest.approx(0.0, abs=1e-6)
    assert each.same_action.value == 1.0
    assert found.probabilities["b", "a"].value == 0.5


def test_what_cannot_be_asked_is_said(tmp_path):
    names = {"abn": "ppo_abn_paper", "memory": "ppo_mask_convlstm"}
    runs = [make_run(tmp_path / name, agent) for name, agent in names.items()]
    for run in runs:
        give_scores(run, range(4))
    found = compare_runs(runs, n_states=4, moment_steps=12, device="cpu")
    assert found.agreements == []
    assert found.left_out == ["abn and memory: memory has a memory, and did not play these games"]


@pytest.fixture
def scores_alone(monkeypatch):
    """Comparisons without maps, which take longer."""
    monkeypatch.setattr(compare, "_agreements", lambda *of: ([], []))


@pytest.mark.usefixtures("scores_alone")
def test_each_agents_scores_are_on_a_scale_of_their_own(tmp_path):
    arms = {"ppo_cnn": "space_invaders", "a2c_cnn": "assault"}  # the latter has no references
    runs = []
    for agent, game in arms.items():
        for seed in (0, 1):
            run = make_run(tmp_path / agent / str(seed), agent, game, seed=seed)
            give_scores(run, np.full(4, 908.35 if agent == "ppo_cnn" else 310.0))
            runs.append(run)
    found = compare_runs(runs)
    by_agent = {agent: (of.iqm.value, of.scale) for agent, of in found.aggregates.items()}
    assert by_agent["ppo_cnn"] == (pytest.approx(0.5), "human-normalised")
    assert by_agent["a2c_cnn"] == (310.0, "raw")
    assert "ppo_cnn: interquartile mean of its runs 0.50 [0.50, 0.50], human-normalised" in (
        what_is_better(found)
    )
    data = found.as_json()["interquartile_means"]
    assert {agent: of["scale"] for agent, of in data.items()} == {
        "ppo_cnn": "human-normalised",
        "a2c_cnn": "raw",
    }


@pytest.mark.usefixtures("scores_alone")
def test_scores_under_other_protocols_are_not_set_against_each_other(tmp_path):
    runs = []
    for name, protocol in (("a", "legacy"), ("b", "legacy"), ("c", "machado2018")):
        settings = (f"train.protocol={protocol}",)
        run = make_run(tmp_path / name, "ppo_cnn", "space_invaders", *settings)
        give_scores(run, range(4), protocol=protocol)
        runs.append(run)
    found = compare_runs(runs)
    assert found.probabilities.keys() == {("b", "a")}
    assert found.scores_left_out == [
        f"{other} and c: their games were played under legacy and machado2018" for other in "ab"
    ]
    assert found.aggregates.keys() == {"ppo_cnn (legacy)"}  # of the other protocol there is one
    data = found.as_json()
    assert [run["protocol"] for run in data["runs"]] == ["legacy", "legacy", "machado2018"]
    assert data["scores_left_out"] == found.scores_left_out
    for run, height in zip(runs, (1.0, 3.0, 50.0), strict=True):
        rows = [{"step": step, "rollout/ep_rew_mean": height} for step in (10, 20)]
        (run.path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            compare, "draw_learning_curves", lambda lines, _: drawn.update(c=lines) or b""
        )
        patch.setattr(compare, "draw_profiles", lambda of, _: drawn.update(p=of) or b"")
        write_comparison(found, tmp_path / "out")
    assert [(label, curve.mean.tolist()) for _, _, label, curve in drawn["c"]] == [
        ("ppo_cnn (legacy) (2 seeds)", [2.0, 2.0]),
        ("ppo_cnn (machado2018) (single run)", [50.0, 50.0]),
    ]
    assert [profile.label for profile in drawn["p"]] == [
        "a (legacy)", "b (legacy)", "c (machado2018)"
    ]  # fmt: skip


@pytest.mark.usefixtures("scores_alone")
def test_what_is_installed_is_not_written_to(tmp_path, monkeypatch):
    """Where an agent that ships lacks an evaluation its copy plays, once."""
    shipped = make_run(tmp_path / "agents" / "space_invaders" / "ppo_cnn", "ppo_cnn")
    monkeypatch.setattr("rl_abn.runs.shipped.AGENTS", tmp_path / "agents")
    monkeypatch.chdir(tmp_path)
    give_scores(other := make_run(tmp_path / "other", "ppo_cnn"), range(4))
    played = []

    def evaluated(run, **options):
        played.append(run.path)
        return Played(np.arange(3.0))

    class Played:
        def __init__(self, scores):
            self.intact = SimpleNamespace(scores=scores)

        def save(self, run):
            give_scores(run, self.intact.scores)

    monkeypatch.setattr(compare, "evaluate_run", evaluated)
    before = sorted(path for path in shipped.path.rglob("*"))
    for is_played in (True, False):
        first, _ = compare_runs([shipped, other]).runs
        assert (first.label, first.played) == ("ppo_cnn", is_played)
        assert first.scores.tolist() == [0, 1, 2]
    assert [path.as_posix() for path in played] == ["runs/space_invaders/ppo_cnn/shipped"]
    assert sorted(path for path in shipped.path.rglob("*")) == before


def test_which_evaluation_counts(tmp_path):
    run = make_run(tmp_path / "run")
    assert kept_scores(run) is None
    give_scores(run, range(3), "small")
    give_scores(run, range(50), "greedy", greedy=True)
    give_scores(run, range(40), "other", protocol="machado2018")
    (run.path / "evaluations" / "damaged.json").write_text("{")
    assert kept_scores(run).tolist() == [0, 1, 2]
    give_scores(run, range(5), "larger")
    assert len(kept_scores(run)) == 5


def test_labels_tell_runs_apart(tmp_path):
    runs = [make_run(tmp_path / name / "seed-0") for name in ("a", "b")]
    assert labels_of(runs) == ["a/seed-0", "b/seed-0"]
    assert labels_of(runs[:1]) == ["seed-0"]


def test_one_run_is_not_enough(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(RlAbnError, match="expected two runs or more to compare, got 1"):
        compare_runs([run])
