"""Run pages, and games that are recorded from them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from rl_abn.explain.certificate import QUESTIONS
from rl_abn.files.text import write_output
from rl_abn.record import Episode
from rl_abn.rl.evaluation.replay import player_of
from rl_abn.runs import shipped
from rl_abn.runs.best import save_best
from rl_abn.runs.checkpoints import save_checkpoint
from rl_abn.view.library import Library
from rl_abn.view.run_page import MOST_POINTS, curves_of_run
from rl_abn.view.scores import scores_of_run
from tests.rl.evaluation.recorded import STEP, make_run, record
from tests.view.served import explained, serving


def test_a_run_page_has_settings_curves_and_what_there_is(tmp_path):
    run = make_run(tmp_path / "run")
    rows = [
        {"step": 10, "rollout/score": 1.25, "loss": None},
        {"step": 20, "rollout/score": 2.123456, "late": float("inf")},
        {"step": 30, "huge": 10**400},
    ]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(tmp_path) as client:
        (listed,) = client.get("/api/library").json["runs"]
        page = client.get(f"/api/runs/{listed['id']}").json
    assert page["curves"] == {
        "steps": [10, 20, 30],
        "rollout/score": [1.25, 2.1235, None],
        "loss": [None, None, None],
        "late": [None, None, None],
        "huge": [None, None, None],
    }
    assert page["checkpoints"] == [STEP]
    assert page["settings"]["algorithm"]["name"] == "ppo"
    assert page["settings"]["attention"]["mechanism"] == "residual"
    assert page["settings"]["run"]["seed"] == 0
    assert (page["can_record"], page["best"], page["origin"]) == (True, None, [])


def test_a_run_page_has_the_certificate_of_the_newest_explanation(tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    with serving(tmp_path / "runs") as client:
        (listed,) = client.get("/api/library").json["runs"]
        path = f"/api/runs/{listed['id']}"
        assert client.get(path).json["certificate"] is None
        assert client.ask("GET", path + "/explanation").status == 404
        handed_on = explained(run, "handed on", "partly") / "certificate.json"
        handed_on.rename(run.path / "certificate.json")
        assert client.get(path).json["certificate"]["title"] == "handed on"
        old = explained(run, "old", "no")
        os.utime(old / "certificate.json", (1, 1))
        new = explained(run, "new", "yes")
        found = client.get(path).json["certificate"]
        assert (found["title"], found["page"]) == ("new", False)
        assert [line["verdict"] for line in found["lines"]] == ["yes"] * 5
        assert found["lines"][0]["asks"] == "Is the map used?"
        (new / "explanation.html").write_text("<!doctype html>report")
        assert client.get(path).json["certificate"]["page"] is True
        answer = client.get(path + "/explanation")
        assert answer.body == b"<!doctype html>report"
        assert answer.headers["content-disposition"].startswith("attachment")
        explained(run, "new", "yes", more=["gaze"])
        lines = client.get(path).json["certificate"]["lines"]
        assert [line["question"] for line in lines] == list(QUESTIONS)
        # What is damaged is passed over; what a link brings in from outside is not served.
        (new / "certificate.json").write_text('{"certificate": [1]}')
        assert client.get(path).json["certificate"]["title"] == "old"
        (tmp_path / "secret.html").write_text("secret")
        (new / "explanation.html").unlink()
        (new / "explanation.html").symlink_to(tmp_path / "secret.html")
        assert client.ask("GET", path + "/explanation").status == 404


def test_long_curves_are_thinned_out(tmp_path):
    run = make_run(tmp_path / "run")
    lines = (json.dumps({"step": step, "x": step}) + "\n" for step in range(5000))
    (run.path / "metrics.jsonl").write_text("".join(lines))
    library = Library([tmp_path])
    (found,) = library.runs.values()
    curves = curves_of_run(found, library)
    assert len(curves["steps"]) == MOST_POINTS
    assert (curves["steps"][0], curves["steps"][-1]) == (0, 4999)


def test_metrics_that_are_no_file_of_the_run_are_not_read(tmp_path):
    import os

    run = make_run(tmp_path / "runs" / "run")
    library = Library([tmp_path / "runs"])
    (found,) = library.runs.values()
    os.mkfifo(run.path / "metrics.jsonl")
    assert curves_of_run(found, library) == {"steps": []}
    (run.path / "metrics.jsonl").unlink()
    (tmp_path / "secret").write_text('{"step": 1, "password": 2}\n')
    (run.path / "metrics.jsonl").symlink_to(tmp_path / "secret")
    assert curves_of_run(found, library) == {"steps": []}


@pytest.mark.more
def test_a_game_is_recorded_from_the_page(tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    with serving(tmp_path / "runs") as client:
        (listed,) = client.get("/api/library").json["runs"]
        path = f"/api/runs/{listed['id']}/record"
        question = {"checkpoint": STEP, "seed": 3, "max_steps": 6, "intervention": "zero"}
        state = client.job(path, question)
        assert state["state"] == "done"
        assert (state["done"], state["of"]) == (6, 6)
        name = state["result"]["episode"]
        (episode,) = client.get("/api/library").json["episodes"]
        assert (episode["id"], episode["run"], episode["seed"]) == (name, listed["id"], 3)
        assert episode["intervention"] == "zero"
        again = client.job(path, {**question, "intervention": None, "greedy": True})["result"]
        assert client.get(f"/api/episodes/{again['episode']}").json["can_ask"] is True
        assert again["n_steps"] == 6
    known = record(run, out=tmp_path / "other", max_steps=6, seed=3, greedy=True)
    folder = next((run.path / "episodes").glob("*greedy*"))
    assert np.array_equal(Episode(folder).numbers("value"), known.numbers("value"))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"checkpoint": 7}, "expected a checkpoint at step 7, got none; the nearest is 64"),
        ({"checkpoint": "best"}, "expected a best checkpoint, got none"),
        ({"checkpoint": "newest"}, "expected a whole number from 0"),
        ({"intervention": "zeroo"}, "unknown intervention 'zeroo': did you mean 'zero'?"),
        ({"intervention": "all"}, "expected one intervention, got 'all'"),
        ({"max_steps": 20_001}, "from 1 to 20,000 as 'max_steps'"),
        ({"seed": 2**31}, "as 'seed'"),
        ({"greedy": 1}, "expected true or false as 'greedy' in the body, got 1"),
    ],
)
def test_a_mistake_is_one_line(viewer, question, expected):
    path = f"/api/runs/{viewer.runs['plain']}/record"
    assert expected in viewer.client.post(path, question, status=400)["error"]


def test_what_ships_stands_last_under_the_name_that_commands_take(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "AGENTS", tmp_path / "agents")
    for folder in ("agents/pong/a", "own/z"):
        make_run(tmp_path / folder, "ppo_cnn", "ms_pacman")
    with serving(tmp_path) as client:
        own, ships = client.get("/api/library").json["runs"]
    assert own["path_label"].endswith("own/z")
    assert ships["path_label"] == "pong/a"
    assert own["env_title"] == "Ms. Pac-Man"


def test_games_and_edits_of_a_run_that_ships_go_to_a_copy_of_it(tmp_path, monkeypatch):
    """Which is served from then on, though its folder was not named."""
    monkeypatch.setattr(shipped, "AGENTS", tmp_path / "agents")
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "agents" / "pong" / "a", "ppo_abn_paper", "pong")
    record(run, max_steps=2, out=run.path / "episodes")
    before = sorted(run.path.rglob("*"))
    with serving(run.path) as client:
        (listed,) = client.get("/api/library").json["runs"]
        state = client.job(f"/api/runs/{listed['id']}/record", {"max_steps": 3})
        assert state["state"] == "done", state
        library = client.get("/api/library").json
        labels = [found["path_label"] for found in library["runs"]]
        assert labels == ["runs/pong/a/shipped", "pong/a"]
        copy = library["runs"][0]["id"]
        # It is listed, and one of the copy's own.
        of_run = {found["id"]: found["run"] for found in library["episodes"]}
        assert of_run[state["result"]["episode"]] == copy
        shown = client.get(f"/api/episodes/{state['result']['episode']}").json
        assert (shown["n_steps"], shown["run"], shown["can_ask"]) == (3, copy, True)
        items = [{"step": 1, "map": {"shared": [[0.0] * 9] * 9}}]
        path = f"/api/episodes/{listed['episodes'][0]}/edits"
        saved = client.post(path, {"name": "a", "items": items})
        client.post(path, {"name": "../a", "items": items}, status=400)
        assert saved["saved"] == "runs/pong/a/shipped/edits/a"
        assert "--out runs/pong/a/shipped --on-exists resume" in saved["command"]
        label = client.get(f"/api/episodes/{state['result']['episode']}").json["label"]
    assert Path(label).is_dir()  # it stays when the server ends
    assert sorted(run.path.rglob("*")) == before


def test_a_recording_stops_and_keeps_its_steps(tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    with serving(tmp_path / "runs") as client:
        (listed,) = client.get("/api/library").json["runs"]
        path = f"/api/runs/{listed['id']}/record"
        job = client.post(path, {"max_steps": 20_000})["job"]
        while not (state := client.get(f"/api/jobs/{job}").json)["done"]:
            time.sleep(0.01)
        error = client.post(path, {"max_steps": 5}, status=409)["error"]
        assert "got 'recording a game' that is still being done" in error
        assert "of 20,000 steps)" in error
        client.post(f"/api/jobs/{job}/stop", {})
        while (state := client.get(f"/api/jobs/{job}").json)["state"] == "running":
            time.sleep(0.01)
        assert state["message"] == "stopped: the steps so far are kept among the episodes"
        (episode,) = client.get("/api/library").json["episodes"]
        assert (episode["status"], episode["run"]) == ("cut", listed["id"])
        assert client.get(f"/api/runs/{listed['id']}").json["record_steps"]["most"] == 20_000
    assert Episode(next((run.path / "episodes").iterdir())).n_steps == episode["n_steps"]


def test_a_run_page_says_what_its_agent_scored(tmp_path):
    """By `rl-abn eval` and while it trained; what cannot be read is left out."""
    run = make_run(tmp_path / "runs" / "run")
    player = {
        "player": "agent",
        "protocol": "legacy",
        "greedy": False,
        "games": [{"score": 3.0}, {"score": 5.0}],
        "max_frames": 100,
        "mean": {"value": 4.0, "low": 3.0, "high": 5.0},
        "iqm": {"value": 4.0, "low": None, "high": None},
        "human_normalised": None,
        "seed": 0,
    }
    folder = run.path / "evaluations"
    write_output(folder / "a.json", {"step": STEP, "evaluations": [player, player]})
    write_output(folder / "b.json", {"step": STEP, "evaluations": [], "max_steps": 9})
    write_output(folder / "c.json", {"scores": [1]})
    (tmp_path / "secret.json").write_bytes((folder / "a.json").read_bytes())
    (folder / "d.json").symlink_to(tmp_path / "secret.json")
    found = {"step": 90, "mean_score": 2.0, "scores": [1.0, 2.0, 3.0]}
    save_best(run.path, 90, found, lambda to: save_checkpoint(to / "checkpoints", 90, {}, {}, {}))
    with serving(tmp_path / "runs") as client:
        (listed,) = client.get("/api/library").json["runs"]
        scores = client.get(f"/api/runs/{listed['id']}").json["scores"]
    plain = {"protocol": "legacy", "greedy": False, "max_steps": None}
    best, evaluated = scores
    assert evaluated == {
        **plain,
        "step": STEP,
        "n_games": 2,
        "while_training": False,
        "mean": player["mean"],
    }
    mean = best.pop("mean")
    assert best == {**plain, "step": 90, "n_games": 3, "while_training": True}
    assert 1.0 <= mean["low"] <= mean["value"] == 2.0 <= mean["high"] <= 3.0


def test_scores_of_what_ships_are_shown():
    library = Library([shipped.AGENTS])
    for found in library.runs.values():
        scores = scores_of_run(found, library)
        assert {score["protocol"] for score in scores} >= {"legacy", "machado2018"}
        assert all(s["n_games"] >= 30 and s["mean"]["low"] < s["mean"]["high"] for s in scores)


@pytest.mark.parametrize("name", ["plain", pytest.param("memory", marks=pytest.mark.full)])
def test_reliance_is_that_of_the_episodes_steps(viewer, name):
    from rl_abn.rl.evaluation.reliance import map_reliance
    from rl_abn.rl.evaluation.replay import Replay
    from rl_abn.rl.evaluation.state_bank import StateBank

    state = viewer.client.job(f"/api/episodes/{viewer.episodes[name]}/reliance", {})
    assert state["state"] == "done", state
    found = state["result"]
    episode = Episode(viewer.folders[name])
    replay, agent = Replay(episode), player_of(episode)
    # Without a memory: two stretches, at the start and at the end; else the game from its start.
    length, firsts = (32, (0, 48)) if name == "plain" else (80, (0,))
    seen = []
    for first in firsts:
        seen.append([])
        for t in range(first, first + length):
            seen[-1].append(replay.go_to(t).copy())
    starts = np.zeros((length, len(firsts)), bool)
    starts[0] = True
    if agent.policy.settings.forget_at == "life":
        starts[:, 0] |= episode.numbers("lost_life")
    bank = StateBank(np.array(seen).swapaxes(0, 1), starts)
    expected = map_reliance(agent.policy, bank).estimates()
    assert found["n_steps"] == length * len(firsts)
    for by in ("uniform", "time_average", "swap", "shifted"):
        assert np.isclose(found[by], expected[by].value, rtol=1e-6)
        low, high = found["intervals"][by]
        assert low is None or low <= found[by] <= high


def test_work_that_fails_says_why(viewer, monkeypatch, capfd):
    import rl_abn.view.asking as module

    def broken(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "episode_reliance", broken)
    state = viewer.client.job(f"/api/episodes/{viewer.episodes['plain']}/reliance", {})
    assert (state["state"], state["result"]) == ("failed", None)
    assert state["message"] == "an error of this program; the terminal shows it"
    assert "ZeroDivisionError" in capfd.readouterr().err
