"""Episodes that somebody damaged: each answer is what there is, or one line; the server lives."""

from __future__ import annotations

import json
import os
import random
import shutil

import pytest

from tests.view.served import painted, serving

PARTS = ("", "/curves", "/highlights", "/sheets/0", "/trace/0", "/edits")
JUNK = (
    None, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "\u202e", "\ud800", "a" * 5000,
    [], [[]], {}, {"a": {}}, True, "../../etc", [1, 2, 3], {"colours": [[1, 2]]},
)  # fmt: skip


def damaged(data, rng):
    """One value somewhere in nested tables is junk."""
    while True:
        key = rng.choice(list(data) if isinstance(data, dict) else range(len(data)))
        if rng.random() < 0.5 and isinstance(data[key], dict | list) and data[key]:
            data = data[key]
            continue
        data[key] = rng.choice(JUNK)
        return


@pytest.fixture(scope="module")
def served(runs, tmp_path_factory):
    """A run with many damaged copies of its episode."""
    top = tmp_path_factory.mktemp("hostile") / "run"
    shutil.copytree(runs / "plain", top)
    episode = next((top / "episodes").iterdir())
    rng = random.Random(0)
    for i in range(30):
        copy = episode.with_name(f"meta-{i}")
        shutil.copytree(episode, copy)
        meta = json.loads((copy / "meta.json").read_text())
        damaged(meta, rng)
        (copy / "meta.json").write_text(json.dumps(meta))
    for name in ("frames/000000.png", "trace/000000.safetensors", "states/000000.z"):
        for how in ("cut", "noise", "pipe", "folder"):
            copy = episode.with_name(f"{how}-{name.replace('/', '-')}")
            shutil.copytree(episode, copy)
            content = (copy / name).read_bytes()
            (copy / name).unlink()
            if how == "cut":
                (copy / name).write_bytes(content[: len(content) // 2])
            elif how == "noise":
                (copy / name).write_bytes(rng.randbytes(len(content)))
            elif how == "pipe":
                os.mkfifo(copy / name)
            else:
                (copy / name).mkdir()
    with serving(top.parent) as client:
        yield client


@pytest.mark.full
def test_damaged_episodes_are_answered_in_one_line(served, capfd):
    listed = served.get("/api/library").json["episodes"]
    assert len(listed) > 10
    refused = 0
    for episode in listed:
        path = f"/api/episodes/{episode['id']}"
        for part in PARTS:
            answer = served.ask("GET", path + part)
            assert answer.status in (200, 400, 404), (episode["label"], part, answer)
            if answer.status != 200:
                refused += 1
                assert "\n" not in answer.json["error"]
        body = json.dumps({"step": 1, "map": painted("plain")})
        answer = served.ask("POST", f"{path}/what-if", body, {"Content-Type": "application/json"})
        assert answer.status in (200, 400), (episode["label"], answer)
    assert refused > 10
    assert "Traceback" not in capfd.readouterr().err
