"""Detectors from the command line: the page's commands run on tiny data; mistakes are one line."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from rl_abn.recipes import make_vision_recipe
from rl_abn.runs import Run
from rl_abn.view.library import Library
from rl_abn.view.pictures import Gallery
from rl_abn.vision.detection.shapes import write_shapes
from tests.complaints import complaint
from tests.vision.detection.small_detectors import SMALL, needs_torchvision, small_run

Command = Callable[..., Any]
Mistake = Callable[..., str]
PAGE = Path(__file__).parents[3] / "docs" / "detection.md"
CPU = ["--device", "cpu"]
# What makes each of the page's commands small; the last of an option counts.
SMALLER = {
    "shapes": ["--pictures", "6"],
    "train": [*(word for setting in SMALL for word in ("--set", setting)), "--epochs", "1", *CPU],
    "eval": CPU,
    "record": [*CPU, "--pictures", "2"],
    "explain": CPU,
}
RUN = Path("runs", "shapes_detection", "fasterrcnn_small_abn", "seed-0")


def page_commands() -> list[list[str]]:
    """Returns the page's commands on the set of shapes: others need their data."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    lines = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    return [words for words in lines if "shapes" in " ".join(words)]


@needs_torchvision
def test_the_pages_commands_run(rl_abn: Command, folder: Path) -> None:
    commands = page_commands()
    assert [words[1] for words in commands] == [
        "shapes", "train", "train", "eval", "record", "explain",
    ]  # fmt: skip
    said = []
    for words in commands:
        result = rl_abn(*words, *SMALLER[words[1]])
        assert result.code == 0, result.err
        lines = result.out.splitlines()
        assert any(line.startswith("next: rl-abn vision ") for line in lines[-3:])
        said.append(result.out)
    assert "on the visible part of" in said[3]
    sheet = RUN / "sheets" / "epoch-1-test.png"
    assert said[4].splitlines() == [
        f"2 pictures, {re.findall('pictures, ([0-9]) of', said[4])[0]} of them with mistakes: "
        f"{sheet}",
        f"next: rl-abn vision explain {RUN}",
    ]
    assert cv2.imread(str(folder / sheet)) is not None
    explained = folder / RUN / "explanations" / "epoch-1-quick-0"
    assert (explained / "explanation.html").is_file()
    lines = json.loads((explained / "certificate.json").read_text())["lines"]
    assert [line.partition(":")[0] for line in lines] == [
        "used", "right", "better", "objects", "sane",
    ]  # fmt: skip
    baseline = RUN.parents[1] / "fasterrcnn_small" / "seed-0"
    result = rl_abn("vision", "record", baseline, "--out", "a.png", "--split", "held_out", *CPU)
    assert result.code == 0, result.err
    assert result.out.splitlines()[0].endswith(": a.png")


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A run folder of a detector without a checkpoint: what needs no detector is said before."""
    write_shapes(tmp_path / "data", 4, seed=1)
    recipe = make_vision_recipe("shapes_detection", "fasterrcnn_small_abn", 0, [])
    return Run.create(tmp_path / "run", recipe, "cpu", data=str(tmp_path / "data")).path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("edit", "--list"), "'rl-abn vision record' and 'rl-abn vision explain' show"),
        (("edit", "--edits", "x"), "'rl-abn vision record' and 'rl-abn vision explain' show"),
        (("record", "--frames", "3"), "expected --pictures for a sheet, got --frames"),
        (("record", "--seconds", "3"), "expected --pictures for a sheet, got --frames or --sec"),
        (("record", "--tasks", "disc"), "expected --tasks for a network of tasks"),
        (("record", "--out", "a.mp4"), "expected a file that ends in .png, got 'a.mp4'"),
    ],
)
def test_what_detectors_have_not_gets_one_line(
    mistake: Mistake, detector: Path, words: tuple[str, ...], message: str
) -> None:
    command, *more = words
    assert message in mistake("vision", command, detector, *more)


def test_the_viewer_says_what_shows_a_detector(detector: Path) -> None:
    library = Library([detector.parent])
    (name,) = library.runs
    assert "'rl-abn vision record'" in complaint(lambda: Gallery(library).get(name))


@needs_torchvision
def test_data_that_does_not_fit_gets_one_line(mistake: Mistake, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 4, seed=1)
    run = small_run(tmp_path / "run", tmp_path / "data", 1).path

    def spoiled(change: Callable[[dict[str, Any]], Any], name: str) -> Path:
        folder = Path(shutil.copytree(tmp_path / "data", tmp_path / name))
        path = folder / "annotations" / "instances_test.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
        return folder

    def box(data: dict[str, Any]) -> None:
        data["annotations"][0]["bbox"] = [300, 0, 5, 5]

    def other(data: dict[str, Any]) -> None:
        data["categories"][0]["name"] = "star"

    def empty(data: dict[str, Any]) -> None:
        data["annotations"].clear()

    def one(data: dict[str, Any]) -> None:
        first = data["annotations"][0]["image_id"]
        data["annotations"] = [a for a in data["annotations"] if a["image_id"] == first]

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("")
    for data, message in (
        (spoiled(box, "outside"), "within the picture's 128"),
        (spoiled(other, "other"), "got 'star'"),
        (spoiled(empty, "empty"), "got 2 empty ones"),
        (tmp_path / "text", "expected COCO's layout"),
        (tmp_path / "gone", "gone"),
    ):
        for command in ("eval", "record", "explain"):
            assert message in mistake("vision", command, run, "--data", data, *CPU)
    few = spoiled(one, "few")
    said = mistake("vision", "explain", run, "--data", few, *CPU)
    assert "expected 2 pictures with objects or more" in said
    path = tmp_path / "data" / "annotations" / "instances_test.json"
    path.write_text("[1")
    assert "expected JSON" in mistake("vision", "record", run, *CPU)
    assert "expected JSON" in mistake("vision", "explain", run, *CPU)
