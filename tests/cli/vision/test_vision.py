"""`rl-abn vision`: the way from pictures to a score, and one line for each mistake."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.recipes import make_run_recipe, make_vision_recipe
from rl_abn.runs import Run
from rl_abn.vision.training import train as train_module
from tests.vision.tiny_sets import SMALL, write_classes, write_drive

Command = Callable[..., Any]
Mistake = Callable[..., str]
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]
TRAIN = ("vision", "train", "--env", "cifar10", "--agent", "resnet20_abn")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("data") / "set", n_train=12, n_test=4)


def test_from_pictures_to_a_score(rl_abn: Command, folder: Path, data: Path) -> None:
    words = (*TRAIN, "--data", str(data), "--epochs", "1", "--device", "cpu", *SETTINGS)
    result = rl_abn(*words)
    assert result.code == 0, result.err
    run = "runs/cifar10/resnet20_abn/seed-0"
    lines = result.out.splitlines()
    assert lines[0] == f"run folder: {run}"
    assert lines[1] == "33 pictures to learn from, 3 held out"
    assert lines[-1] == f"next: rl-abn vision eval {run}"
    assert (folder / run / "checkpoints" / "step-000000000001").is_dir()

    result = rl_abn("vision", "eval", run, "--device", "cpu", "--json", "result.json")
    assert result.code == 0, result.err
    assert "CIFAR-10, test, 12 pictures, epoch 1" in result.out
    assert "perception branch" in result.out
    assert result.out.splitlines()[-1] == f"next: rl-abn vision eval {run} --intervention all"
    kept = json.loads((folder / run / "evaluations" / "epoch-1-test.json").read_text())
    assert json.loads((folder / "result.json").read_text()) == kept
    diagram = f"{run}/evaluations/epoch-1-test-reliability.png"
    assert f"reliability diagram: {diagram}" in result.out.splitlines()
    assert (folder / diagram).read_bytes().startswith(b"\x89PNG")
    value = kept["rows"][0]["numbers"]["top_1"]["value"]
    assert f"{100 * value:.2f} [" in result.out

    words = (*TRAIN, "--epochs", "2", "--device", "cpu", *SETTINGS, "--on-exists", "resume")
    result = rl_abn(*words)
    assert result.code == 0, result.err
    assert "trained 2 epochs" in result.out


def test_a_stopped_training_names_its_own_command_and_ends_by_the_signal(
    rl_abn: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_module.losses_of

    def stopping(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(train_module, "losses_of", stopping)
    words = (*TRAIN, "--data", str(data), "--epochs", "1", "--device", "cpu", *SETTINGS)
    result = rl_abn(*words)
    assert result.code == 143, result.err
    said, again = result.out.splitlines()[2:]
    assert said == "stopped before the first epoch was done; nothing is saved. Begin again with:"
    assert shlex.split(again) == ["rl-abn", *words, "--on-exists", "resume"]


def test_recipes_are_listed_in_groups_of_their_own(rl_abn: Command) -> None:
    everything = rl_abn("recipes").out
    vision = rl_abn("recipes", "vision").out
    assert "vision agents (networks):\n" in vision
    assert "vision envs (data):\n" in vision
    assert "  resnet20_abn" in vision
    assert "ppo_abn_paper" not in vision
    assert "ppo_abn_paper" in everything
    assert "  cifar10 " in everything
    assert "cifar10" not in rl_abn("recipes", "envs").out
    assert rl_abn("recipes", "wrn_28_10").out.startswith("# WRN-28-10")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vision", "trian"), "unknown command 'trian': did you mean 'train'?"),
        ((*TRAIN, "--epoch", "3"), "unknown option '--epoch': did you mean '--epochs'?"),
        ((*TRAIN, "--data", "x", "--epochs", "0"), "expected a whole number from 1, got '0'"),
        (TRAIN, "expected --data PATH, where CIFAR-10 lies, got none"),
        ((*TRAIN, "--data", "nowhere"), "expected a folder or a .zip, got 'nowhere'"),
        ((*TRAIN, "--data", "x", "--device", "gpu"), "expected auto, cpu, cuda or cuda:N"),
        (
            (*TRAIN[:-1], "resnet20_anb", "--data", "x"),
            "unknown vision model 'resnet20_anb': did you mean 'resnet20_abn'?",
        ),
        (
            (*TRAIN, "--data", "x", "--set", "optimizer.lerning_rate=1"),
            "unknown key 'optimizer.lerning_rate': did you mean 'optimizer.learning_rate'?",
        ),
        (
            ("train", "--env", "cifar10", "--agent", "ppo_abn_paper"),
            "which is for 'rl-abn vision train'",
        ),
        (("vision", "eval", "nowhere"), "train one with 'rl-abn vision train'"),
        (("vision", "eval", "r", "--split", "tset"), "unknown choice 'tset': did you mean 'test'?"),
    ],
)
def test_mistakes(mistake: Mistake, folder: Path, words: tuple[str, ...], message: str) -> None:
    assert message in mistake(*words)
    assert list(folder.iterdir()) == []


def test_data_of_another_kind(mistake: Mistake, folder: Path, data: Path, tmp_path: Path) -> None:
    drive = write_drive(tmp_path / "drive", n=12)
    assert "got a driving log" in mistake(*TRAIN, "--data", drive)
    wrong = ("vision", "train", "--env", "driving_log", "--agent", "driving_abn", "--data", data)
    assert "expected a driving log" in mistake(*wrong)
    assert list(folder.iterdir()) == []


def test_a_loss_that_is_no_number(rl_abn: Command, data: Path) -> None:
    words = (*TRAIN, "--data", str(data), "--epochs", "1", *SETTINGS)
    result = rl_abn(*words, "--set", "optimizer.learning_rate=1e30", "--device", "cpu")
    assert result.code == 2
    last = result.err.splitlines()[-1]
    assert last.startswith("rl-abn: error: runs/cifar10/resnet20_abn/seed-0: the loss became ")
    assert "in epoch 1" in last


def test_runs_of_the_other_track(mistake: Mistake) -> None:
    game = Run.create(Path("game"), make_run_recipe("pong", "ppo_abn_paper", 0), "cpu")
    pictures = Run.create(Path("pictures"), make_vision_recipe("cifar10", "resnet20", 0), "cpu")
    assert mistake("vision", "eval", game.path).endswith("use 'rl-abn eval game'")
    for command in ("eval", "watch"):
        assert mistake(command, pictures.path).endswith("use 'rl-abn vision eval pictures'")
    assert "expected a checkpoint, got none yet" in mistake("vision", "eval", pictures.path)
    assert mistake("vision", "eval", pictures.path, "--intervention", "zero").startswith(
        "expected a network with attention maps, got 'resnet20'"
    )
