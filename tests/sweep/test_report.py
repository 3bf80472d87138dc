"""A report of runs with known numbers."""

from __future__ import annotations

import csv
import json
import re

import cv2
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.runs import METRICS, Run
from rl_abn.sweep.plan import make_plan
from rl_abn.sweep.report.report import make_report, write_report
from rl_abn.sweep.report.tables import report_text
from rl_abn.sweep.unit import evaluation_file

EVAL = "[eval]\nepisodes = 2\n"


def put_run(plan, unit, returns, *, trained=True, score=None, reliance=None):
    """Writes a run with a return at every logging point."""
    run = Run.create(plan.out / unit.name, unit.recipe(), "cpu")
    done = unit.steps if trained else unit.steps // 2
    run.update_meta(status="finished" if trained else "interrupted", steps=done)
    rows = []
    for i, value in enumerate(returns, start=1):
        row = {"step": unit.steps * i // 4, "rollout/ep_rew_mean": value}
        if reliance is not None:
            row["attention/reliance_uniform"] = reliance
            row["attention/reliance_uniform_value"] = 9.0
        rows.append(row)
    (run.path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    if score is not None:
        evaluations = [
            {"player": "ppo", "mean": {"value": score}},
            {"player": "blind: frozen", "mean": {"value": score - 1}},
        ]
        file = evaluation_file(unit.eval, run.path)
        file.parent.mkdir()
        file.write_text(json.dumps({"evaluations": evaluations}))


@pytest.fixture
def plan(sweep_file, tmp_path):
    """Two seeds of ppo_abn_paper on two games; of ppo_cnn one finished and one not, and none."""
    file = sweep_file(
        EVAL, games=["pong", "breakout"], agents=["ppo_abn_paper", "ppo_cnn"], steps=400
    )
    plan = make_plan(file, tmp_path / "out")
    units = {(unit.env_name, unit.label, unit.seed): unit for unit in plan.units}
    put_run(plan, units["pong", "ppo_abn_paper", 0], [0, 2, 4, 4], score=5, reliance=0.1)
    put_run(plan, units["pong", "ppo_abn_paper", 1], [0, 4, 6, 8], score=7, reliance=0.3)
    put_run(plan, units["pong", "ppo_cnn", 0], [0, 0, 0, 3], score=6)
    put_run(plan, units["pong", "ppo_cnn", 1], [0, 0], trained=False)
    put_run(plan, units["breakout", "ppo_abn_paper", 0], [1, 1, 1, 1], score=2)
    put_run(plan, units["breakout", "ppo_abn_paper", 1], [1, 1, 1, 3], score=2)
    return plan


def test_the_numbers_of_every_arm(plan):
    report = make_report(plan)
    assert (report.n_trained, report.n_units) == (5, 8)
    rows = {(row.arm.game, row.arm.label): row for row in report.rows}
    first = rows["pong", "ppo_abn_paper"]
    assert first.final == (6.0, 4.0, 8.0)
    # (0 + 1 + 3 + 4) / 4 and (0 + 2 + 5 + 7) / 4.
    assert first.area.value == pytest.approx((2.0 + 3.5) / 2)
    assert first.scores["agent"].value == 6.0
    assert first.scores["blind: frozen"].value == 5.0
    assert first.reliance.keys() == {"uniform"}
    assert first.reliance["uniform"].value == pytest.approx(0.2)
    assert first.arm.said == "2"
    single = rows["pong", "ppo_cnn"]
    assert single.final == (3.0, None, None)
    assert single.arm.said == "1 of 2, single run"
    assert single.curve.n_seeds.tolist() == [2, 2, 1, 1]
    none = rows["breakout", "ppo_cnn"]
    assert none.final is None
    assert none.arm.said == "0 of 2"


def test_the_best_run_is_the_one_to_watch(plan):
    best = make_report(plan).best
    assert best == next(u.name for u in plan.units if (u.label, u.seed) == ("ppo_abn_paper", 1))
    assert best.startswith("pong/")


def test_comparisons_between_arms(plan):
    report = make_report(plan)
    final, score = report.comparisons
    assert (final.label, final.other, final.games) == ("ppo_cnn", "ppo_abn_paper", ("pong",))
    assert final.probability == (0.0, None, None)
    assert score.probability.value == 0.5  # 6 beats 5 and loses to 7
    # Only ppo_abn_paper has finished seeds on both games.
    assert [(a.label, a.measure, a.n_runs, a.n_games) for a in report.aggregates] == [
        ("ppo_abn_paper", "final", 4, 2),
        ("ppo_abn_paper", "eval", 4, 2),
    ]
    assert report.aggregates[0].scale == "human-normalised"


def test_the_text_says_how_many_seeds_there_are(plan):
    text = report_text(make_report(plan))
    assert "few: 5 of 8 trainings; the sweep is unfinished" in text
    assert "1 of 2, single run" in text
    assert "6.0 [4.0, 8.0]" in text
    assert re.search(r"pong +ppo_abn_paper +score, blind: frozen +5.0 \[4.0, 6.0\]", text)
    assert re.search(r" +map reliance, uniform +0.200 \[0.100, 0.300\]", text)
    assert max(map(len, text.splitlines())) <= 118


def test_the_files(plan):
    report = make_report(plan)
    files = {file.name: file for file in write_report(report, plan.out / "report", "text")}
    assert list(files) == ["report.txt", "table.csv", "curves.csv", "report.json", "curves.png"]
    with files["table.csv"].open() as file:
        table = list(csv.DictReader(file))
    assert [row["seeds"] for row in table] == ["2", "1", "2", "0"]
    assert (table[0]["final_return"], table[0]["final_return_low"]) == ("6.0", "4.0")
    assert (table[1]["final_return"], table[1]["final_return_low"]) == ("3.0", "")
    with files["curves.csv"].open() as file:
        curves = list(csv.DictReader(file))
    assert curves[1] == {
        "game": "pong",
        "arm": "ppo_abn_paper",
        "step": "200",
        "seeds": "2",
        "mean_return": "3.0",
        "low": "2.0",
        "high": "4.0",
    }
    data = json.loads(files["report.json"].read_text())
    assert data["arms"][0]["final_return"] == {"value": 6.0, "low": 4.0, "high": 8.0}
    assert len(data["probabilities_of_improvement"]) == 2
    picture = cv2.imread(str(files["curves.png"]))
    assert picture.std() > 5


def test_before_any_game_has_ended_there_is_no_picture(sweep_file, tmp_path):
    plan = make_plan(sweep_file(), tmp_path / "out")
    with pytest.raises(RlAbnError, match="expected trainings to report on, got none yet"):
        make_report(plan)
    put_run(plan, plan.units[0], [], trained=False)
    report = make_report(plan)
    names = [file.name for file in write_report(report, plan.out / "report", "text")]
    assert "curves.png" not in names
    assert "0 of 2" in report_text(report)
