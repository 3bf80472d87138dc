"""`rl-abn vision drive`, on a car that needs no Box2D."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from rl_abn.cli import main
from rl_abn.render.video import read_video
from rl_abn.vision.driving.carracing import simulator as simulator_module
from rl_abn.vision.driving.carracing.drive import Rules
from rl_abn.vision.driving.closed_loop import contenders_of, drive_all
from tests.covering import more

FEW = ["--set", "folds.k=2", "--set", "folds.margin=0", "--set", "train.n_probes=0"]
LOG = ["drive", "expert", "--log", "log", "--tracks", "2", "--max-steps", "40"]
SHORT = ["--tracks", "2", "--max-steps", "12"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vision(tmp_path, monkeypatch, capsys):
    """Runs a command of the vision track in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = 0
        try:
            main(["vision", *map(str, words)])
        except SystemExit as exit_:
            code = exit_.code
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def car(circle_car, monkeypatch):
    monkeypatch.setattr(simulator_module, "Simulator", lambda: circle_car)
    return circle_car


@pytest.fixture
def trained(vision, car):
    """Runs of a regression and a classification network, in runs/."""
    assert vision(*LOG).code == 0
    for env, agent in (
        ("car_racing", "driving_abn"),
        ("car_racing_actions", "driving_cnn_classes"),
    ):
        words = ["--env", env, "--agent", agent, "--data", "log", "--epochs", "1"]
        result = vision("train", *words, *FEW, "--out", f"runs/{agent}")
        assert result.code == 0, result.err
    return vision


def test_the_expert_drives_alone(vision, car):
    result = vision("drive", "expert", "--tracks", "2", "--json", "e.json")
    assert result.code == 0
    assert "tracks 0 to 1" in result.out
    assert "2/2" in result.out
    assert "difference" not in result.out
    assert result.out.splitlines()[-1] == "next: rl-abn vision drive expert --log car_racing_log"
    (driver,) = json.loads(Path("e.json").read_text())["drivers"]
    assert driver["name"] == "expert"
    assert driver["summary"]["autonomy"]["value"] == 1.0
    assert [track["track"] for track in driver["tracks"]] == [0, 1]


def test_a_log_is_of_other_tracks_and_names_its_recordings(vision, car):
    result = vision(*LOG)
    assert result.code == 0
    assert "16 frames of tracks 1000 to 1001 in log" in result.out
    lines = Path("log/driving_log.csv").read_text().splitlines()
    assert lines[0].split(",")[-1] == "recording"
    assert {line.split(",")[-1] for line in lines[1:]} == {
        "track-001000-seed-0",
        "track-001001-seed-0",
    }
    assert result.out.splitlines()[-1] == (
        "next: rl-abn vision train --env car_racing --agent driving_abn --data log"
    )


def test_networks_drive_beside_the_expert(trained):
    result = trained(
        "drive",
        "runs/driving_abn",
        "--beside",
        "runs/driving_cnn_classes",
        *SHORT,
        "--intervention",
        "zero",
        "--json",
        "d.json",
    )
    assert result.code == 0, result.err
    assert "warning" not in result.err
    assert result.out.splitlines()[-1] == "next: rl-abn vision eval runs/driving_abn"
    said = json.loads(Path("d.json").read_text())
    (kept,) = Path("runs/driving_abn/evaluations").glob("drive-*.json")
    assert f"kept in {kept}" in result.out
    assert json.loads(kept.read_text()) == said
    names = [driver["name"] for driver in said["drivers"]]
    assert names == [
        "driving_abn",
        "driving_abn, maps zero",
        "driving_cnn_classes",
        "expert",
        "expert, five actions",
    ]
    assert [driver["five_actions"] for driver in said["drivers"]] == [False] * 2 + [
        True,
        False,
        True,
    ]
    assert said["drivers"][0]["difference"] is None
    first, last = said["drivers"][0], said["drivers"][-1]
    gap = last["summary"]["score"]["value"] - first["summary"]["score"]["value"]
    assert last["difference"]["value"] == pytest.approx(gap)
    assert all(track["driven_s"] == 0.24 for d in said["drivers"] for track in d["tracks"])


def test_everyone_gets_five_actions(trained):
    result = trained("drive", "runs/driving_abn", "--five-actions", "--alone", *SHORT)
    assert result.code == 0, result.err
    assert "autonomy" not in result.out
    (kept,) = Path("runs/driving_abn/evaluations").glob("drive-*.json")
    said = json.loads(kept.read_text())
    assert [d["name"] for d in said["drivers"]] == ["driving_abn", "expert, five actions"]
    assert all(d["five_actions"] for d in said["drivers"])
    assert said["rules"]["off_road_s"] is None


@pytest.mark.parametrize("who", ["runs/driving_abn", *more("runs/driving_cnn_classes", "expert")])
def test_a_drive_of_the_first_track_is_recorded(trained, who):
    result = trained("drive", who, *SHORT, "--video", "videos/first.mp4")
    assert result.code == 0, result.err
    assert "track 0: videos/first.mp4" in result.out
    n_frames, _, fps = read_video(Path("videos/first.mp4"))
    assert (n_frames, fps) == (7, 25.0)  # of 12 steps every other one, and the last
    assert [path.name for path in Path("videos").iterdir()] == ["first.mp4"]


def test_a_ctrl_c_keeps_what_was_recorded(trained, car, monkeypatch):
    step = type(car).step

    def stop_at_8(controls):
        if car.steps == 8:
            raise KeyboardInterrupt
        return step(car, controls)

    monkeypatch.setattr(car, "step", stop_at_8, raising=False)
    assert trained("drive", "runs/driving_abn", *SHORT, "--video", "first.mp4").code == 130
    assert read_video(Path("first.mp4"))[0] == 4


def test_tracks_that_were_learned_are_named(trained):
    result = trained("drive", "runs/driving_abn", "--seed", "1001", *SHORT)
    assert result.code == 0
    assert "learned from a log of 1 of the tracks it drives here (1001)" in result.err
    assert "--seed, such as 1002" in result.err
    Path("log").rename("gone")
    result = trained("drive", "runs/driving_abn", *SHORT)
    assert result.code == 0
    assert "its log is not there any more" in result.err


def test_a_ctrl_c_leaves_whole_tracks(trained, car, monkeypatch):
    begin = type(car).begin

    def stop_at_2(track):
        if track == 2:
            raise KeyboardInterrupt
        begin(car, track)

    monkeypatch.setattr(car, "begin", stop_at_2, raising=False)
    result = trained("drive", "runs/driving_abn", "--tracks", "5", "--max-steps", "5")
    assert result.code == 130
    assert "tracks 0 to 1" in result.out
    assert "stopped after 2 of 5 tracks; nothing is kept" in result.out
    assert not list(Path("runs/driving_abn").glob("evaluations/drive-*"))


def test_drives_end_by_the_signal(trained, car, monkeypatch):
    begin = type(car).begin

    def stop_at_1(track):
        begin(car, track)
        if track == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(car, "begin", stop_at_1, raising=False)
    assert trained("drive", "runs/driving_abn", *SHORT).code == 143


def test_drives_are_kept_before_the_json_is_written(trained, monkeypatch):
    Path("taken").mkdir()
    monkeypatch.setattr("rl_abn.files.text.check_output", lambda path: None)
    result = trained("drive", "runs/driving_abn", *SHORT, "--json", "taken")
    assert result.code == 2
    assert "taken: cannot be written" in result.err
    assert len(list(Path("runs/driving_abn").glob("evaluations/drive-*.json"))) == 1


def test_a_ctrl_c_leaves_a_log(vision, car, monkeypatch):
    begin = type(car).begin

    def stop_at_1001(track):
        if track == 1001:
            raise KeyboardInterrupt
        begin(car, track)

    monkeypatch.setattr(car, "begin", stop_at_1001, raising=False)
    result = vision(*LOG)
    assert result.code == 130
    assert "what log holds is a log" in result.out
    assert len(Path("log/driving_log.csv").read_text().splitlines()) == 9


def test_a_log_that_was_cut_off_goes_on_and_no_other_does(vision, car, monkeypatch):
    assert vision(*LOG, "--log", "whole").code == 0
    begin = type(car).begin

    def stop_at_1001(track):
        if track == 1001:
            raise KeyboardInterrupt
        begin(car, track)

    with monkeypatch.context() as patch:
        patch.setattr(car, "begin", stop_at_1001, raising=False)
        result = vision(*LOG)
    assert result.out.splitlines()[-1] == f"rl-abn vision {' '.join(LOG)}"
    for other in (["--tracks", "3"], ["--look", "restyled"]):
        refused = vision(*LOG, *other)
        assert (refused.code, refused.out) == (2, "")
        assert "recorded otherwise; choose another folder" in refused.err
    result = vision(*LOG)
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "going on in: log"
    for path in Path("whole").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == Path("log", path.relative_to("whole")).read_bytes()
    again = vision(*LOG)
    assert (again.code, again.out) == (2, "")
    assert "without a driving log, got one" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere"),
        (["nowhere", "--log", "x"], "--log with 'expert', who records it, got 'nowhere'"),
        (["expert", "--log", "x", "--alone"], "--log without --alone, --json and --video"),
        (["expert", "--log", "x", "--video", "x.mp4"], "--log without --alone, --json and --video"),
        (["expert", "--video", "x.avi"], "expected a file that ends in .mp4, got 'x.avi'"),
        (["expert", "--intervention", "zero"], "--intervention with the run folder of a network"),
        (["expert", "--beside", "a"], "--beside with the run folder of a network"),
        (["expert", "--tracks", "0"], "expected a whole number from 1"),
        (["expert", "--sede", "0"], "did you mean '--seed'?"),
    ],
)
def test_mistakes_are_one_line(vision, car, words, said):
    result = vision("drive", *words)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert len(result.err.splitlines()) == 1
    assert not Path("x").exists()


def test_mistakes_with_a_run_are_one_line(trained):
    for words, said in (
        (["runs/driving_abn", "--intervention", "zeros"], "did you mean 'zero'?"),
        (["runs/driving_cnn_classes", "--intervention", "zero"], "which has none to change"),
        (["runs/driving_abn", "--checkpoint", "7"], "7"),
    ):
        result = trained("drive", *words)
        assert result.code == 2
        assert said in result.err
        assert len(result.err.splitlines()) == 1


def test_what_to_install_is_said(vision, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("gymnasium.envs.box2d", "rl_abn.vision.driving.carracing.engine")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for words in (["expert"], ["expert", "--log", "log"]):
        result = vision("drive", *words)
        assert result.code == 2
        assert "pip install 'rl-abn[driving]'" in result.err
        assert len(result.err.splitlines()) == 1
    assert not Path("log").exists()


def test_a_drive_depends_on_its_track_alone():
    """On the simulator: who drove before on the same car makes no difference."""
    pytest.importorskip("Box2D")
    experts = contenders_of([])
    rules = Rules(max_steps=60)
    both = drive_all(experts, [5, 6], rules).drivers[0].results
    second = drive_all(experts, [6], rules).drivers[0].results
    assert both[1] == second[0]
