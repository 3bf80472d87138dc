"""`rl-abn vision fit`: from nothing to a page, and on from wherever it was stopped."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_vision_recipe
from rl_abn.vision.driving.carracing.recording import Recording, record_log
from rl_abn.vision.driving.fit.folder import take_folder
from rl_abn.vision.driving.fit.request import FitRequest, default_folder, make_request
from rl_abn.vision.training import train as train_module
from tests.complaints import complaint
from tests.vision.driving.carracing.conftest import CircleCar
from tests.vision.tiny_sets import write_classes, write_drive

Fit = Callable[..., Any]
FEW = ["folds.k=2", "folds.margin=0", "train.n_probes=0"]
SMALL = [word for setting in FEW for word in ("--set", setting)]
SMALL += ["--epochs", "1", "--tracks", "2", "--log-tracks", "3", "--max-steps", "40", "--out", "f"]
ABN = ["--agent", "driving_abn", *SMALL]
LOG = Path("f/log/driving_log.csv")


def pages(folder: str = "f") -> tuple[str, dict[str, Any]]:
    place = Path(folder)
    page, data = (place / "report.html").read_text("utf-8"), (place / "report.json").read_text()
    assert page.startswith("<!doctype html>")
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    return page, json.loads(data)


def written(folder: Path) -> dict[Path, int]:
    """When each part, checkpoint and frame was written."""
    return {
        path: path.stat().st_mtime_ns
        for pattern in ("**/parts/*.npz", "**/checkpoints/**/*", "log/**/*")
        for path in folder.glob(pattern)
        if path.is_file()
    }


def stop_at(monkeypatch: pytest.MonkeyPatch, car: CircleCar, when: Callable[[int], bool]) -> None:
    """Makes the beginning of a track a Ctrl-C where something is so of it."""

    def begin(track: int) -> None:
        if when(track):
            raise KeyboardInterrupt
        CircleCar.begin(car, track)

    monkeypatch.setattr(car, "begin", begin, raising=False)


@pytest.mark.more
def test_from_nothing_to_a_page_and_nothing_twice(
    fit: Fit, car: CircleCar, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*ABN, "--beside", "driving_cnn", "--intervention", "uniform"]
    result = fit(*words)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[:4] == [
        "folder: f",
        "log: f/log",
        "driving_abn: f/driving_abn, epoch 1",
        "driving_cnn: f/driving_cnn, epoch 1",
    ]
    assert lines[-3:] == [
        "numbers: f/report.json",
        "page: f/report.html",
        "next: rl-abn vision drive f/driving_abn --tracks 1 --video drive.mp4",
    ]
    assert "recording the expert: 3/3 tracks" in result.err
    assert len(LOG.read_text().splitlines()) == 1 + 3 * 8

    page, data = pages()
    assert "How well driving_abn drives CarRacing-v3, and where it looks" in page
    assert page.count("data:image/png;base64,") == 2
    assert "driving_abn/explanations/epoch-1-quick-0/explanation.html" in page
    assert Path("f", data["explanation"]).is_file()
    drivers = data["drives"]["drivers"]
    assert [driver["name"] for driver in drivers] == [
        "driving_abn",
        "driving_abn, maps uniform",
        "driving_cnn",
        "expert",
    ]
    assert data["drives"]["tracks"] == [0, 1]
    assert all(track["driven_s"] == 0.8 for driver in drivers for track in driver["tracks"])
    assert list(data["held_out"]["rows"]) == [
        "driving_abn",
        "driving_abn, its attention branch alone",
        "driving_cnn",
        "mean of the training frames",
        "previous frame's control",
    ]
    assert data["certificate"][0]["question"] == "used"
    assert data["why_not_driven"] is None

    before = written(Path("f"))
    stop_at(monkeypatch, car, lambda track: True)
    again = fit(*words)
    assert again.code == 0, again.err
    assert again.out.splitlines()[0] == "going on in: f"
    assert written(Path("f")) == before
    assert pages() == (page, data)


def test_a_ctrl_c_in_the_log_goes_on_to_the_same_bytes(
    fit: Fit, car: CircleCar, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_log(Path("whole"), range(1000, 1003), Recording(max_steps=40), simulator=car)  # type: ignore[arg-type]
    stop_at(monkeypatch, car, lambda track: track == 1002)
    words = ABN
    result = fit(*words)
    assert result.code == 130
    assert result.out.splitlines() == [
        "folder: f",
        "stopped; everything finished is kept. Go on with:",
        f"rl-abn vision fit --device cpu {' '.join(words)}",
    ]
    assert len(LOG.read_text().splitlines()) == 1 + 2 * 8
    stop_at(monkeypatch, car, lambda track: track == 0)
    assert fit(*words).code == 130  # at the first track that the network drives
    assert files("f/log") == files("whole")


@pytest.mark.usefixtures("car")
def test_a_stopped_training_ends_by_the_signal(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    real = train_module.losses_of

    def stopping(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(train_module, "losses_of", stopping)
    words = [*ABN, "--epochs", "2"]
    result = fit(*words)
    assert result.code == 143, result.err
    assert result.out.splitlines()[-2:] == [
        "stopped; everything finished is kept. Go on with:",
        f"rl-abn vision fit --device cpu {' '.join(words)}",
    ]
    assert result.err.endswith("rl-abn: ended by SIGTERM\n")


def files(folder: str) -> dict[str, bytes]:
    place = Path(folder)
    found = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in found}


@pytest.mark.more
@pytest.mark.usefixtures("car")
def test_a_baseline_has_no_map_and_says_so(fit: Fit) -> None:
    result = fit("--agent", "driving_cnn", *SMALL)
    assert result.code == 0, result.err
    page, data = pages()
    assert "How well driving_cnn drives CarRacing-v3</h1>" in page
    assert "driving_cnn has no attention map of its own" in page
    assert "There is no map of its own that could be flattened." in page
    assert "times an even map" not in page
    assert [d["name"] for d in data["drives"]["drivers"]] == ["driving_cnn", "expert"]
    assert data["networks"][0]["has_map"] is False


@pytest.mark.usefixtures("explained")
def test_drives_go_on_after_a_ctrl_c(
    fit: Fit, car: CircleCar, monkeypatch: pytest.MonkeyPatch
) -> None:
    drives = ["--intervention", "zero"]
    begun: list[int] = []

    def begin(track: int) -> None:
        begun.append(track)
        if begun[-2:] == [1, 1] and len(begun) == 8:
            raise KeyboardInterrupt
        CircleCar.begin(car, track)

    monkeypatch.setattr(car, "begin", begin, raising=False)
    result = fit(*ABN, *drives)
    assert result.code == 130
    assert "stopped; everything finished is kept" in result.out
    assert begun == [1000, 1001, 1002, 0, 0, 0, 1, 1]
    assert not Path("f/report.html").exists()
    begun.clear()
    result = fit(*ABN, *drives)
    assert result.code == 0, result.err
    assert begun == [1, 1, 0]  # with maps of zero, the expert, and for the frames
    assert "driving: 6/6 drives" in result.err
    assert len(pages()[1]["drives"]["drivers"][0]["tracks"]) == 2


@pytest.mark.full
@pytest.mark.usefixtures("car", "explained")
def test_five_actions(fit: Fit) -> None:
    result = fit("--env", "car_racing_actions", "--agent", "driving_abn_classes", *SMALL)
    assert result.code == 0, result.err
    page, data = pages()
    assert "top-1, %" in page
    names = [driver["name"] for driver in data["drives"]["drivers"]]
    assert names[-2:] == ["expert", "expert, five actions"]


@pytest.mark.usefixtures("explained")
def test_another_log_is_learned_and_nothing_is_driven(fit: Fit, tmp_path: Path) -> None:
    log = write_drive(tmp_path / "track", n=24)
    words = ["--env", "driving_log", "--data", str(log), *ABN, "--set", "pictures.rows=[0,64]"]
    result = fit(*words)
    assert result.code == 0, result.err
    assert "nothing is driven: " in result.err
    assert result.out.splitlines()[-1] == "next: rl-abn vision record f/driving_abn"
    page, data = pages()
    assert "How well driving_abn follows the driver (Driving log), and where it looks" in page
    assert "Nothing was driven" in page
    assert "shows no track of CarRacing-v3, the only simulator there is here" in page
    assert page.count("data:image/png;base64,") == 1
    assert data["drives"] is None
    assert "shows no track" in data["why_not_driven"]
    assert data["held_out"]["frames"] == 12


@pytest.mark.usefixtures("explained")
def test_without_box2d_a_log_is_learned_and_the_expert_is_not_recorded(
    fit: Fit, car: CircleCar, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_log(Path("log"), range(2), Recording(max_steps=40), simulator=car)  # type: ignore[arg-type]

    def missing() -> CircleCar:
        raise RlAbnError("expected Box2D, got none: pip install 'rl-abn[driving]'")

    for place in ("driving.carracing.simulator", "driving.fit.drives"):
        monkeypatch.setattr(f"rl_abn.vision.{place}.Simulator", missing)
    result = fit(*ABN)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "pip install 'rl-abn[driving]'" in result.err
    assert not Path("f").exists()
    result = fit(*ABN, "--data", "log")
    assert result.code == 0, result.err
    assert "pip install 'rl-abn[driving]'" in pages()[1]["why_not_driven"]


@pytest.mark.more
@pytest.mark.usefixtures("explained")
def test_tracks_that_the_log_shows_are_named(fit: Fit, car: CircleCar) -> None:
    record_log(Path("log"), range(2), Recording(max_steps=40), simulator=car)  # type: ignore[arg-type]
    result = fit(*ABN, "--data", "log", "--intervention", "zero")
    assert result.code == 0, result.err
    assert "learned from a log of 2 of the tracks it drives here (0, 1)" in result.err
    assert "learned from a log of 2 of the tracks it drives here (0, 1)" in pages()[0]


@pytest.mark.usefixtures("car")
def test_mistakes_are_one_line(fit: Fit, tmp_path: Path) -> None:
    write_classes(tmp_path / "classes", 2, 1)
    Path("taken").mkdir()
    Path("taken", "notes").write_text("mine")
    Path("fitted").mkdir()
    Path("fitted", "fit.json").write_text('{"env": "car_racing", "agent": "pilotnet", "seed": 0}')
    cnn, abn = ["--agent", "driving_cnn", *SMALL], ABN
    for words, said in (
        (["--agent", "driving_abm"], "did you mean 'driving_abn'"),
        ([*abn, "--beside", "driving_abn"], "networks of different names, got driving_abn and"),
        (["--agent", "driving_abn", "--env", "cifar10"], "expected frames of at least 61x61"),
        (["--agent", "resnet20", "--env", "cifar10"], "data of driving for --env, such as car_ra"),
        ([*cnn, "--intervention", "zero"], "got 'driving_cnn', which has none to change"),
        ([*abn, "--intervention", "zeros"], "did you mean 'zero'?"),
        ([*abn, "--data", "nowhere"], "nowhere"),
        ([*abn, "--data", "classes"], "expected a driving log"),
        ([*abn, "--tracks", "0"], "expected a whole number from 1"),
        ([*abn, "--set", "train.epoks=2"], "train.epoks"),
        ([*abn, "--out", "taken"], "'taken', which exists and has no fit.json; choose another"),
        ([*abn, "--out", "fitted"], "expected the fit of env car_racing agent pilotnet seed 0"),
        ([*abn, "--dta", "log"], "did you mean '--data'?"),
        ([*abn, "--beside", "driving_abn_classes"], "train it with --env car_racing_actions"),
        ([*abn, "--env", "driving_log"], "which sees 60 to 135; train it with --env car_racing"),
    ):
        result = fit(*words)
        assert (result.code, result.out) == (2, ""), words
        assert said in result.err
        assert len(result.err.splitlines()) == 1, result.err
        assert not Path("f").exists()


def test_a_network_that_cannot_drive_is_refused_where_the_log_is_carracings(
    fit: Fit, car: CircleCar
) -> None:
    record_log(Path("log"), range(2), Recording(max_steps=40), simulator=car)  # type: ignore[arg-type]
    result = fit("--agent", "driving_abn_classes", *SMALL, "--data", "log")
    assert (result.code, result.out) == (2, "")
    assert "classes of steering, which press no pedal" in result.err
    assert not Path("f").exists()


@pytest.mark.usefixtures("car")
def test_the_folder_of_another_log_is_left_as_it_is(fit: Fit, tmp_path: Path) -> None:
    log = write_drive(tmp_path / "log", n=24)
    other = shutil.copytree(log, tmp_path / "other")  # the same names and targets
    for picture in (other / "IMG").iterdir():
        cv2.imwrite(str(picture), cv2.imread(str(picture)) // 2)

    def request(data: Path | None, folder: str = "f") -> FitRequest:
        env = "driving_log" if data else "car_racing"
        return make_request(env=env, agents=["driving_abn"], data=data, folder=Path(folder))

    assert not take_folder(request(log))
    assert take_folder(request(log))
    assert take_folder(request(shutil.copytree(log, tmp_path / "moved")))
    words = ["--env", "driving_log", *ABN, "--set", "pictures.rows=[0,64]"]
    before = files("f")
    result = fit(*words, "--data", "other")
    assert (result.code, result.out) == (2, "")
    assert f"f: expected the fit's own log, {log}, got {other}; choose another" in result.err
    shutil.rmtree(log)
    other.rename(log)
    result = fit(*words, "--data", "log")
    assert "got other pictures there; choose another --out" in result.err
    assert files("f") == before

    assert not take_folder(request(None, "g"))
    assert take_folder(request(None, "g"))
    Path("g/fit.json").write_text(
        Path("g/fit.json").read_text().replace("car_racing", "driving_log")
    )
    assert "own log, the expert's, got" in complaint(lambda: take_folder(request(log, "g")))


@pytest.mark.usefixtures("car")
def test_the_expert_is_not_recorded_in_the_folder_of_another_log(fit: Fit) -> None:
    Path("f").mkdir()
    marks = {"env": "car_racing", "agent": "driving_abn", "seed": 0}
    Path("f/fit.json").write_text(json.dumps({**marks, "log": "/log", "log_sha256": "0"}))
    result = fit(*ABN)
    assert (result.code, result.out) == (2, "")
    assert "f: expected the fit's own log, /log, got the expert's; choose another" in result.err
    assert not LOG.exists()
    Path("f/fit.json").write_text(json.dumps(marks))  # of an older version
    request = make_request(env="car_racing", agents=["driving_abn"], folder=Path("f"))
    assert take_folder(request)


@pytest.mark.usefixtures("car")
def test_a_folder_that_another_process_works_in_is_left(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(folder: Path) -> None:
        raise RlAbnError(f"{folder}: expected a run that nobody trains or edits now")

    monkeypatch.setattr("rl_abn.runs.holding.RunLock", taken)
    result = fit(*ABN)
    assert (result.code, result.out) == (2, "")
    assert "f: expected a run that nobody trains" in result.err
    assert not LOG.exists()


@pytest.mark.usefixtures("car", "explained")
def test_a_restyled_world_is_recorded_and_driven(fit: Fit) -> None:
    result = fit(*ABN, "--look", "restyled", "--intervention", "zero")
    assert result.code == 0, result.err
    assert json.loads(LOG.with_name("about.json").read_text())["recording"]["look"] == "restyled"
    assert "CarRacing-v3 restyled, tracks" in result.out
    assert "--tracks 1 --look restyled --video drive.mp4" in result.out.splitlines()[-1]
    page, data = pages()
    assert "restyled" in page
    assert data["drives"]["rules"]["look"] == "restyled"
    (frames,) = Path("f/parts").glob("driven-frames-*.npz")
    labels = json.loads(bytes(np.load(frames)["__result__"]))["result"]
    assert labels[0].startswith("0.0 s")  # the whole drive, from its first frame on
    refused = fit(*ABN)
    assert refused.code == 2
    assert "recorded otherwise" in refused.err


@pytest.mark.parametrize(
    ("quick", "look", "name"),
    [
        (False, "plain", "fit-seed-3"),
        (True, "plain", "fit-seed-3-quick"),
        (True, "restyled", "fit-seed-3-quick-restyled"),
    ],
)
def test_what_is_not_as_usual_has_a_folder_of_its_own(quick: bool, look: str, name: str) -> None:
    recipe = make_vision_recipe("car_racing", "driving_abn", 3)
    folder = default_folder(recipe, quick=quick, look=look)
    assert folder == Path("runs/car_racing/driving_abn", name)


def test_an_unknown_look_is_named_before_anything_is_written(fit: Fit) -> None:
    result = fit(*ABN, "--look", "restyle")
    assert result.code == 2
    assert "unknown look 'restyle': did you mean 'restyled'" in result.err
    assert not Path("f").exists()


@pytest.mark.more
@pytest.mark.usefixtures("car", "explained")
def test_another_request_in_the_same_folder_is_refused(fit: Fit) -> None:
    assert fit(*ABN, "--intervention", "zero").code == 0
    for words, said in (
        (["--log-tracks", "4"], "expected a log of 4 tracks from 1,000 on, got one of others"),
        (["--set", "optimizer.learning_rate=0.1"], "may change, or use another --out"),
    ):
        result = fit(*ABN, *words)
        assert result.code == 2
        assert said in result.err
