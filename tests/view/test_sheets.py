"""Sheets that lie in a run, and runs whose page has nothing else to look at."""

from __future__ import annotations

import os

import numpy as np
import pytest

from rl_abn.recipes import make_translation_recipe, make_vision_recipe
from rl_abn.runs import Run
from rl_abn.view.sheets import MOST_BYTES
from rl_abn.vision.visualize.sheets import write_png
from tests.view.served import serving


@pytest.fixture
def detector(tmp_path):
    recipe = make_vision_recipe("shapes_detection", "fasterrcnn_small_abn", 0, [])
    return Run.create(tmp_path / "runs" / "detector", recipe, "cpu")


def draw(run, name):
    path = run.path / "sheets" / name
    write_png(path, np.full((4, 6, 3), len(name), np.uint8))
    return path


def test_sheets_are_listed_by_their_numbers_and_sent(detector):
    names = ["epoch-2-held-out.png", "epoch-10-held-out.png"]
    drawn = [draw(detector, name) for name in names]
    with serving(detector.path) as client:
        (listed,) = client.get("/api/library").json["runs"]
        path = f"/api/runs/{listed['id']}"
        page = client.get(path).json
        assert (page["sheets"], page["has_pictures"], page["can_record"]) == (names, False, False)
        answer = client.get(f"{path}/sheets/{names[1]}")
        assert (answer.headers["content-type"], answer.body) == ("image/png", drawn[1].read_bytes())


def test_only_pictures_of_the_run_itself_are_sent(detector, tmp_path):
    folder = draw(detector, "epoch-1.png").parent
    (folder / "page.png").write_text("<script>")
    (folder / "notes.txt").write_text("notes")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    os.truncate(draw(detector, "huge.png"), MOST_BYTES + 1)
    write_png(tmp_path / "secret.png", np.zeros((2, 2, 3), np.uint8))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "lost.png").symlink_to(tmp_path / "nothing.png")
    with serving(detector.path) as client:
        (listed,) = client.get("/api/library").json["runs"]
        path = f"/api/runs/{listed['id']}"
        assert client.get(path).json["sheets"] == ["epoch-1.png"]
        for name in (
            *("page.png", "notes.txt", "pipe.png", "folder.png", "huge.png", "link.png"),
            *("lost.png", "other.png", "..%2Frecipe.toml", "%2Fetc%2Fpasswd", "%00.png"),
        ):
            assert client.ask("GET", f"{path}/sheets/{name}").status == 404, name


def test_a_translator_has_a_page(tmp_path):
    recipe = make_translation_recipe("plain-to-restyled", "cyclegan", 0, [])
    run = Run.create(tmp_path / "runs" / "translator", recipe, "cpu")
    (run.path / "metrics.jsonl").write_text('{"step": 50, "train/cycle_loss": 0.5}\n')
    draw(run, "step-500.png")
    with serving(run.path) as client:
        (listed,) = client.get("/api/library").json["runs"]
        assert (listed["track"], listed["agent"]) == ("translation", "cyclegan")
        page = client.get(f"/api/runs/{listed['id']}").json
        assert page["curves"] == {"steps": [50], "train/cycle_loss": [0.5]}
        assert (page["sheets"], page["has_pictures"]) == (["step-500.png"], False)
        assert client.ask("GET", f"/api/vision/{listed['id']}").status == 404
