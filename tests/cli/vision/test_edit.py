"""`rl-abn vision record` and `edit`: videos, sheets, fine-tuning, and mistakes in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.map_editing.edit_files import read_edits
from rl_abn.recipes import VisionRunRecipe, make_run_recipe
from rl_abn.render import read_video
from rl_abn.runs import Run
from rl_abn.vision.training import edit_run as edit_run_module
from rl_abn.vision.training.build import load_network
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.train import train
from tests.covering import more
from tests.vision.tiny_sets import SMALL, small_run, write_attributes, write_classes, write_drive

Command = Callable[..., Any]
Mistake = Callable[..., str]
CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one epoch: a classifier, its no-attention baseline and a driver of each kind."""
    place = tmp_path_factory.mktemp("runs")
    pictures = write_classes(place / "set", n_train=12, n_test=4)
    drive = write_drive(place / "drive", n=40, side=66)
    attributes = write_attributes(place / "faces", n=24)
    short, small = "folds.margin=1", "pictures.size=[66,66]"
    raw = ("pictures.rows=[0,66]", short, small)
    for name, data, settings, recipes in (
        ("abn", pictures, (), {}),
        ("baseline", pictures, (), {"agent": "resnet20"}),
        ("tasks", attributes, (), {"env": "celeba", "agent": "multitask_abn"}),
        ("task_baseline", attributes, (), {"env": "celeba", "agent": "multitask_cnn"}),
        ("controls", drive, raw, {"env": "car_racing", "agent": "driving_abn"}),
        ("classes", drive, raw, {"env": "driving_log", "agent": "driving_abn_classes"}),
        ("actions", drive, raw, {"env": "car_racing_actions", "agent": "driving_abn_classes"}),
    ):
        wanted = {"env": "cifar10", "agent": "resnet20_abn", **recipes}
        of_drive = ["train.batch_size=16", "optimizer.learning_rate=0.05"]
        run, opened, _ = prepare_run(
            **wanted,
            seed=0,
            data=data,
            settings=["train.epochs=1", *(of_drive if settings else SMALL), *settings],
            folder=place / name,
            device="cpu",
        )
        train(run, opened, resume=False, device="cpu")
    return place


@pytest.fixture
def run(place: Path, folder: Path) -> Path:
    """A copy of the classifier's run, to change."""
    return Path(shutil.copytree(place / "abn", folder / "abn").name)


@pytest.mark.parametrize(
    "name", ["classes", *more("controls"), pytest.param("actions", marks=pytest.mark.full)]
)
def test_a_drive_is_recorded_over_what_was_held_out(
    rl_abn: Command, place: Path, folder: Path, name: str
) -> None:
    words = ("vision", "record", place / name, "--out", "a.mp4", *CPU)
    result = rl_abn(*words)
    assert result.code == 0, result.err
    n_frames, _, fps = read_video(folder / "a.mp4")
    assert n_frames == 8  # a fifth of 40
    lines = result.out.splitlines()
    assert lines[0] == f"8 frames, {8 / fps:.0f} s: a.mp4"
    assert lines[-1] == f"next: rl-abn vision edit {place / name} --list"
    assert rl_abn(*words, "--frames", "3").out.startswith("3 frames")
    assert rl_abn(*words, "--seconds", 2 / fps).out.startswith("2 frames")


def test_a_classifier_gets_a_sheet_in_its_run_folder(
    rl_abn: Command, run: Path, place: Path
) -> None:
    result = rl_abn("vision", "record", run, "--pictures", "5", *CPU)
    assert result.code == 0, result.err
    assert result.out.startswith("5 pictures, ")
    assert result.out.splitlines()[-1] == f"next: rl-abn vision edit {run} --list"
    assert cv2.imread(str(run / "sheets" / "epoch-1-test.png")) is not None
    assert rl_abn("vision", "record", run, "--split", "held_out", *CPU).out.startswith("3 pictures")
    result = rl_abn("vision", "record", place / "baseline", "--out", "baseline.png", *CPU)
    assert result.out.splitlines()[-1] == f"next: rl-abn vision eval {place / 'baseline'}"


def test_tasks_get_a_sheet_too(rl_abn: Command, place: Path, folder: Path) -> None:
    run = Path(shutil.copytree(place / "tasks", folder / "tasks").name)
    words = ("vision", "record", run, *CPU)
    result = rl_abn(*words)
    assert result.code == 0, result.err
    sheet = run / "sheets" / "epoch-1-held-out.png"
    found = re.fullmatch(
        r"2 pictures, [012] of them with a wrong answer, 2 of 2 tasks: (.+)",
        result.out.splitlines()[0],
    )
    assert found is not None
    assert found[1] == str(sheet)
    assert result.out.splitlines()[-1] == f"next: rl-abn vision edit {run} --list"
    assert cv2.imread(str(sheet)) is not None
    named = ("--tasks", "Bright_Below", "Bright_Below", "--pictures", "1", "--scale", "frame")
    result = rl_abn(*words, "--out", "one.png", *named)
    assert result.out.startswith("1 picture")
    assert ", 1 of 2 tasks: one.png" in result.out
    assert cv2.imread("one.png") is not None


def test_the_no_attention_baseline_of_tasks_has_no_maps(rl_abn: Command, place: Path) -> None:
    result = rl_abn("vision", "record", place / "task_baseline", "--out", "baseline.png", *CPU)
    assert result.code == 0, result.err
    assert "2 of 2 tasks: baseline.png" in result.out
    assert result.out.splitlines()[-1] == f"next: rl-abn vision eval {place / 'task_baseline'}"
    assert cv2.imread("baseline.png") is not None


@pytest.mark.parametrize(
    ("name", "options"), [("tasks", ["--intervention", "zero"]), ("baseline", [])]
)
def test_after_a_score_comes_a_picture(
    rl_abn: Command, place: Path, folder: Path, name: str, options: list[str]
) -> None:
    run = Path(shutil.copytree(place / name, folder / name).name)
    result = rl_abn("vision", "eval", run, "--split", "held_out", *options, *CPU)
    assert result.out.splitlines()[-1] == f"next: rl-abn vision record {run}"


def test_the_next_command_has_what_the_listing_was_given(
    rl_abn: Command, run: Path, place: Path, folder: Path
) -> None:
    data = Path(shutil.copytree(place / "set", folder / "my set").name)
    words = ("--list", "2", "--data", data, "--checkpoint", "1", "--out", "my edits")
    result = rl_abn("vision", "edit", run, *words, *CPU)
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1] == (
        f"next: rl-abn vision edit {run} --edits 'my edits' --data 'my set' --checkpoint 1"
    )


def test_from_examples_to_an_edited_run(rl_abn: Command, run: Path, folder: Path) -> None:
    result = rl_abn("vision", "edit", run, "--list", "4", *CPU)
    assert result.code == 0, result.err
    edits = run / "edits"
    assert result.out.splitlines()[-1] == f"next: rl-abn vision edit {run} --edits {edits}"
    text = (edits / "edits.toml").read_text()
    assert "expected edits, got none" in rl_abn("vision", "edit", run, "--edits", edits).err
    # Every line without its # is an edit that is read, and the map of the file is the network's.
    body = text[text.index("# pictures/00000") :]
    lines = [line.removeprefix("# ") for line in body.splitlines() if "pictures/0" not in line]
    (edits / "edits.toml").write_text("\n".join(lines))
    given = read_edits(edits)
    assert len(given.of) == 4
    own = np.load(edits / "maps" / "00000.npy")
    painted = next(iter(given.of.values())).map
    assert own.shape == (1, 6, 6)
    smaller = painted.reshape(1, 6, 2, 6, 2).mean(axis=(2, 4))  # painted in the picture's size
    np.testing.assert_allclose(smaller, own, atol=0.5 / 255 + 1e-6)
    assert cv2.imread(str(edits / "pictures" / "00003.png")).shape == (12, 12, 3)

    words = ("vision", "edit", run, "--edits", edits, "--gamma", "5", "--epochs", "3")
    words = (*words, "--set", "edit.learning_rate=0.05", *CPU)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    result = rl_abn(*words)
    assert result.code == 0, result.err
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    made = Path("abn-edited")
    assert result.out.splitlines()[-2:] == [
        f"run folder: {made}",
        f"next: rl-abn vision record {made}",
    ]
    kept = read_json(made / "evaluations" / "edited.json")
    assert kept["map_loss"]["after"] < kept["map_loss"]["before"]
    assert [(s["pictures"], s["n"], s["before"]["name"]) for s in kept["scores"]] == [
        ("held out", 3, "perception branch"),
        ("held out", 3, "attention branch"),
        ("edited", 4, "perception branch"),
        ("edited", 4, "attention branch"),
    ]
    assert f"{kept['map_loss']['before']:.4f}" in result.out
    assert (kept["gamma"], kept["epochs"], kept["learning_rate"]) == (5.0, 3, 0.05)

    new, old = Run.open(made, VisionRunRecipe), Run.open(run, VisionRunRecipe)
    assert new.recipe.agent.edit.gamma == 5.0
    edited = {"edit": old.recipe.agent.edit}
    assert new.recipe.agent.model_copy(update=edited) == old.recipe.agent
    meta = read_json(made / "meta.json")
    assert meta["edited"]["from"] == str((folder / run).resolve())
    assert (meta["edited"]["epoch"], meta["edited"]["gamma"]) == (1, 5.0)
    assert list(read_edits(made / "edits").of) == list(given.of)
    assert new.checkpoint().step == 4
    weights = [load_network(some).network.state_dict() for some in (old, new)]
    changed = {name for name in weights[0] if (weights[0][name] != weights[1][name]).any()}
    assert changed
    assert not any(name.startswith("extractor.") for name in changed)

    # What takes a run takes this one, and only going on with its training is refused.
    result = rl_abn("vision", "eval", made, "--split", "held_out", "--json", "r.json", *CPU)
    assert result.code == 0, result.err
    value = json.loads((folder / "r.json").read_text())["rows"][0]["numbers"]["top_1"]["value"]
    assert value == kept["scores"][0]["after"]["numbers"]["top_1"]["value"]
    assert rl_abn("vision", "record", made, *CPU).code == 0
    again = rl_abn(*words, "--on-exists", "new")
    assert "run folder: abn-edited-2" in again.out
    assert rl_abn("vision", "edit", made, "--edits", edits, "--epochs", "1", *CPU).code == 0
    resumed = ("vision", "train", "--env", "cifar10", "--agent", "resnet20_abn", "--out", made)
    assert "fine-tuned to edited maps" in rl_abn(*resumed, "--on-exists", "resume", *CPU).err


@pytest.mark.parametrize("name", ["tasks", *more("controls", "classes", "actions")])
def test_other_answers_are_edited_too(
    rl_abn: Command, place: Path, folder: Path, name: str
) -> None:
    run = place / name
    assert rl_abn("vision", "edit", run, "--list", "3", "--out", "edits", *CPU).code == 0
    text = (folder / "edits" / "edits.toml").read_text()
    lines = text[text.index("# [[edit]]") :].splitlines()[:3]
    table = "\n".join(line.removeprefix("# ") for line in lines)
    (folder / "edits" / "edits.toml").write_text(table)
    words = ("vision", "edit", run, "--edits", "edits", "--epochs", "12", "--out", "new", *CPU)
    result = rl_abn(*words)
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1] == "next: rl-abn vision record new"
    kept = read_json(folder / "new" / "evaluations" / "edited.json")
    assert kept["map_loss"]["after"] < kept["map_loss"]["before"]
    first = {"tasks": "accuracy", "controls": "steering_mae"}.get(name, "top_1")
    assert next(iter(kept["scores"][0]["before"]["numbers"])) == first


def test_maps_that_sum_to_1_are_painted_on_a_scale_of_their_own(
    rl_abn: Command, place: Path, folder: Path
) -> None:
    """White is a map's maximum; the file as it is written keeps the map as it is."""
    settings = ("train.epochs=1", "attention.mechanism=mask", "attention.map_form=softmax")
    run, opened, _ = small_run(Path("softmax"), place / "set", *settings)
    train(run, opened, resume=False, device="cpu")
    assert rl_abn("vision", "edit", "softmax", "--list", "2", "--out", "edits", *CPU).code == 0
    text = (folder / "edits" / "edits.toml").read_text()
    body = text[text.index("# pictures/00000") :].splitlines()
    wanted = ("# [[edit]]", "# picture =", "# map =")
    lines = [line.removeprefix("# ") for line in body if line.startswith(wanted)]
    (folder / "edits" / "edits.toml").write_text("\n".join(lines))
    own = np.stack([np.load(path) for path in sorted(Path("edits/maps").glob("*.npy"))])
    np.testing.assert_allclose(own.sum(axis=(2, 3)), 1, atol=1e-5)
    for path in Path("edits/maps").glob("*.png"):
        assert cv2.imread(str(path)).max() == 255
    given = read_edits("edits").apply(torch.from_numpy(own), (12, 12), sums_to_one=True)
    np.testing.assert_allclose(given, own, atol=own.max() / 255)
    words = ("vision", "edit", "softmax", "--edits", "edits", "--epochs", "1", *CPU)
    assert rl_abn(*words).code == 0
    kept = read_json(Path("softmax-edited") / "evaluations" / "edited.json")
    assert kept["map_loss"]["before"] < 0.01


def test_maps_that_do_not_lie_on_the_picture_are_not_edited(
    rl_abn: Command, mistake: Mistake, place: Path, folder: Path
) -> None:
    run, opened, _ = small_run(Path("se"), place / "set", "train.epochs=1", agent="resnet20_se")
    train(run, opened, resume=False, device="cpu")
    edits = write(Path("edits"), "a.png")
    for words in (("--list",), ("--edits", edits)):
        assert mistake("vision", "edit", "se", *words, *CPU) == (
            "expected a network whose maps lie on the picture, to edit them, got 'resnet20_se' "
            "with mechanism 'se'"
        )
    assert sorted(path.name for path in folder.iterdir()) == ["edits", "se"]
    assert not (run.path / "edits").exists()
    result = rl_abn("vision", "record", "se", "--pictures", "2", *CPU)
    assert result.out.splitlines()[-1] == "next: rl-abn vision eval se"


def list_edits(rl_abn: Command, run: Path, folder: Path) -> None:
    """Writes one edit into the folder "edits"."""
    assert rl_abn("vision", "edit", run, "--list", "2", "--out", "edits", *CPU).code == 0
    text = (folder / "edits" / "edits.toml").read_text()
    lines = text[text.index("# [[edit]]") :].splitlines()[:3]
    table = "\n".join(line.removeprefix("# ") for line in lines)
    (folder / "edits" / "edits.toml").write_text(table)


@pytest.mark.parametrize("fails", [False, True])
def test_an_edited_run_is_overwritten_only_by_a_whole_one(
    rl_abn: Command, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def fail(*_: object) -> None:
        raise RlAbnError("cannot be written")

    list_edits(rl_abn, run, folder)
    words = ("vision", "edit", run, "--edits", "edits", "--epochs", "1", "--out", "new", *CPU)
    assert rl_abn(*words).code == 0
    before = {p: p.read_bytes() for p in Path("new").rglob("*") if p.is_file()}
    if fails:
        monkeypatch.setattr("rl_abn.vision.training.edit_run.write_edits", fail)
    longer = ["2" if word == "1" else word for word in words]
    result = rl_abn(*longer, "--on-exists", "overwrite")
    assert result.code == (2 if fails else 0)
    after = {p: p.read_bytes() for p in Path("new").rglob("*") if p.is_file()}
    assert (after == before) == fails
    assert ("the run that was there is back" in result.err) == fails
    assert sorted(path.name for path in folder.iterdir()) == ["abn", "edits", "new"]
    (Path("new") / "notes.txt").write_text("mine")
    assert "got 'notes.txt'" in rl_abn(*words, "--on-exists", "overwrite").err


def test_a_folder_taken_during_the_fine_tuning_does_not_cost_its_result(
    rl_abn: Command, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any, **more: Any) -> Any:
        (folder / "new").mkdir()
        (folder / "new" / "somebody's").touch()
        return finetune(*arguments, **more)

    finetune = edit_run_module.finetune
    list_edits(rl_abn, run, folder)
    monkeypatch.setattr(edit_run_module, "finetune", meanwhile)
    words = ("vision", "edit", run, "--edits", "edits", "--epochs", "1", "--out", "new", *CPU)
    result = rl_abn(*words)
    assert result.code == 0, result.err
    assert "run folder: new-2\n" in result.out
    assert "which exists; add --on-exists new or overwrite; kept in new-2" in result.err


def write(folder: Path, picture: str) -> Path:
    folder.mkdir()
    (folder / "edits.toml").write_text(f'[[edit]]\npicture = "{picture}"\nadd = [[0, 0, 6, 6]]\n')
    return folder


def test_mistakes_in_what_is_edited(mistake: Mistake, run: Path, place: Path) -> None:
    edit = ("vision", "edit", run)
    assert "got neither" in mistake(*edit)
    assert "expected a number from 0, got '-1'" in mistake(*edit, "--edits", "e", "--gamma", "-1")
    assert "expected --gamma" in mistake(*edit, "--list", "--gamma", "1")
    missing = mistake(*edit, "--edits", "nowhere")
    assert "nowhere" in missing
    edits = write(Path("edits"), "train/green/01.png")
    assert "did you mean 'train/green/01" in mistake(*edit, "--edits", edits, *CPU)
    assert "expected --set of edit.gamma, edit.epochs, edit.learning_rate" in mistake(
        *edit, "--edits", edits, "--set", "train.epochs=3"
    )
    said = mistake(*edit, "--edits", edits, "--out", run, "--on-exists", "overwrite", *CPU)
    assert "where the run that is edited is" in said
    assert "add --on-exists new or overwrite" in mistake(*edit, "--edits", edits, "--out", run)
    assert "add --on-exists new or --out DIR" in mistake(*edit, "--list", "--out", edits)
    baseline = place / "baseline"
    for words in (("--list",), ("--edits", edits)):
        assert "got 'resnet20', which has none to edit" in mistake(
            "vision", "edit", baseline, *words
        )
    assert not list(Path().glob("*-edited*"))


def test_what_is_held_out_is_not_edited(mistake: Mistake, run: Path, place: Path) -> None:
    opened = small_run(Path("other"), place / "set", "train.epochs=1")[1]
    assert opened.held_out is not None
    edits = write(Path("edits"), opened.held_out.own_names[0])
    assert "which is held out" in mistake("vision", "edit", run, "--edits", edits, *CPU)


@pytest.mark.parametrize("command", ["record", "edit"])
def test_what_is_no_run_of_pictures(mistake: Mistake, command: str) -> None:
    words = ("--list",) if command == "edit" else ()
    assert "expected a run folder, got 'nowhere'" in mistake("vision", command, "nowhere", *words)
    game = Run.create(Path("game"), make_run_recipe("pong", "ppo_abn_paper", 0), "cpu")
    assert mistake("vision", command, game.path, *words).endswith("use 'rl-abn eval game'")


def test_mistakes_in_what_is_recorded(mistake: Mistake, run: Path, place: Path) -> None:
    record = ("vision", "record")
    assert "--pictures for a sheet" in mistake(*record, run, "--frames", "3")
    assert "--frames or --seconds" in mistake(*record, place / "controls", "--pictures", "3")
    assert "ends in .png, got 'a.mp4'" in mistake(*record, run, "--out", "a.mp4")
    assert "above 0, got '0'" in mistake(*record, run, "--seconds", "0")
    tasks = (*record, place / "tasks", *CPU, "--tasks")
    assert mistake(*tasks, "Red", "bright_Below") == (
        "unknown task 'bright_Below': did you mean 'Bright_Below'?"
    )
    assert "expected at least one argument" in mistake(*tasks)
    assert mistake(*record, run, "--tasks", "Red") == (
        "expected --tasks for a network of tasks, got 'resnet20_abn', which classifies"
    )
    assert "which drives" in mistake(*record, place / "controls", "--tasks", "Red")
    assert "ends in .png" in mistake(*record, place / "tasks", "--out", "a.mp4")
    test = mistake(*record, place / "controls", "--split", "test", *CPU)
    assert "expected --split held_out for a drive" in test
    assert "the nearest is 1" in mistake(*record, run, "--checkpoint", "7", *CPU)
    assert "other pictures or targets" in mistake(
        *record, run, "--split", "held_out", "--data", write_classes(Path("set"), 9, 2), *CPU
    )
