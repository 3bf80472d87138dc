"""`rl-abn vision translate`: the page's commands run on tiny data, and mistakes are one line."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.vision.training.train import train as train_network
from rl_abn.vision.translation import train as train_module
from tests.vision.tiny_sets import small_run
from tests.vision.translation.tiny_domains import TINY, write_domains, write_network

Command = Callable[..., Any]
Mistake = Callable[..., str]
PAGE = Path(__file__).parents[3] / "docs" / "translation.md"
SETTINGS = [word for setting in TINY for word in ("--set", setting)]
# What makes each of the page's commands small; the last of an option counts.
SMALLER = {
    "drive expert": ["--tracks", "1", "--max-steps", "120"],
    "drive": ["--tracks", "1", "--max-steps", "3"],
    "train": ["--epochs", "1", "--set", "folds.margin=0", "--set", "train.batch_size=8"],
    "translate train": [*SETTINGS, "--set", "pictures.size=[16,16]", "--steps", "3"],
    "translate apply": [],
}


def page_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.more
def test_the_pages_commands_run(rl_abn: Command, folder: Path) -> None:
    pytest.importorskip("Box2D", reason="Box2D, which CarRacing drives on, is not installed")
    commands = page_commands()
    assert len(commands) == 8
    for words in commands:
        kind = next(k for k in SMALLER if " ".join(words[1:]).startswith(k))
        result = rl_abn(*words, *SMALLER[kind])
        assert result.code == 0, result.err
        lines = result.out.splitlines()
        assert any(line.startswith("next: rl-abn vision ") for line in lines[-3:])
    table = "driving_log.csv"
    assert (folder / "log_translated" / table).read_bytes() == (
        folder / "log_plain" / table
    ).read_bytes()
    assert (folder / "runs" / "log_plain-to-log_restyled" / "cyclegan" / "seed-0").is_dir()


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_domains(tmp_path_factory.mktemp("domains"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, domains: tuple[Path, Path]) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "run", domains[0])


@pytest.mark.more
def test_from_two_domains_to_a_translated_set(
    rl_abn: Command, folder: Path, domains: tuple[Path, Path], network: Path
) -> None:
    pair = ("--source", str(domains[0]), "--target", str(domains[1]), "--network", str(network))
    train = ("vision", "translate", "train", "--device", "cpu", *SETTINGS)
    result = rl_abn(*train, *pair, "--consistency", "0.5", "--steps", "4")
    assert result.code == 0, result.err
    run = "runs/source-to-target/cyclegan/seed-0"
    lines = result.out.splitlines()
    assert lines[:2] == [f"run folder: {run}", "30 pictures of the source, 24 of the target"]
    assert lines[-2] == f"pairs with maps: {run}/sheets/step-000000000004.png"
    assert lines[-1].startswith(f"next: rl-abn vision translate apply {run} --data ")
    assert "consistency = 0.5" in (folder / run / "recipe.toml").read_text()

    again = (*train, "--out", run, "--consistency", "0.5", "--steps", "6")
    result = rl_abn(*again, "--on-exists", "resume")
    assert result.code == 0, result.err
    assert "going on from step 4 of 6" in result.err
    assert "trained 6 steps" in result.out

    apply = ("vision", "translate", "apply", run, "--data", str(domains[0]), "--device", "cpu")
    result = rl_abn(*apply, "--out", "new", "--fid", str(domains[1]))
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "30 pictures translated: new"
    if "FID: " not in result.out:
        assert "FID is skipped: expected torchmetrics" in result.err
    words = ("vision", "train", "--env", "cifar10", "--agent", "resnet20_abn", "--data", "new")
    settings = ("--set", "pictures.size=[12,12]", "--set", "network.name=resnet")
    result = rl_abn(*words, *settings, "--set", "network.depth=8", "--epochs", "1")
    assert result.code == 0, result.err


@pytest.mark.more
def test_a_stopped_training_names_its_own_command_and_ends_by_the_signal(
    rl_abn: Command, domains: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_module.Training.next_step

    def stopping(training: train_module.Training, *arguments: Any) -> None:
        real(training, *arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(train_module.Training, "next_step", stopping)
    pair = ("--source", str(domains[0]), "--target", str(domains[1]), "--consistency", "0")
    words = ("vision", "translate", "train", "--device", "cpu", *SETTINGS, *pair, "--steps", "4")
    result = rl_abn(*words)
    assert result.code == 143, result.err
    said, again = result.out.splitlines()[2:]
    assert said == "stopped after 1 of 4 steps; saved. Go on with:"
    assert shlex.split(again) == ["rl-abn", *words, "--on-exists", "resume"]


def test_mistakes_are_one_line(
    mistake: Mistake, folder: Path, domains: tuple[Path, Path], network: Path
) -> None:
    train = ("vision", "translate", "train", *SETTINGS)
    source, target = ("--source", str(domains[0])), ("--target", str(domains[1]))
    assert "expected --source PATH" in mistake(*train, *target)
    assert "expected --target PATH" in mistake(*train, *source)
    assert "expected --network RUN" in mistake(*train, *source, *target)
    assert "a number from 0, got '-1'" in mistake(*train, *source, *target, "--consistency", "-1")
    assert "unknown translator 'cyclgan'" in mistake(*train, *source, *target, "--agent", "cyclgan")
    assert "expected a run folder, got 'nowhere'" in mistake(
        *train, *source, *target, "--network", "nowhere"
    )
    (folder / "empty").mkdir()
    for empty in (("--source", "empty", *target), (*source, "--target", "empty")):
        assert "expected folders of pictures" in mistake(*train, *empty, "--consistency", "0")
    assert "expected pictures of 24 pixels a side or more" in mistake(
        *train, *source, *target, "--network", str(network), "--set", "discriminator.layers=3"
    )
    baseline, data, _ = small_run(
        folder / "baseline", domains[0], "train.epochs=1", agent="resnet20"
    )
    train_network(baseline, data, resume=False, device="cpu")
    assert "attention maps, got 'resnet20', which has none" in mistake(
        *train, *source, *target, "--network", "baseline"
    )
    assert not (folder / "runs").exists()
    apply = ("vision", "translate", "apply", str(network), "--data", str(domains[0]))
    assert "expected a translator's run, got the vision track's" in mistake(*apply, "--out", "new")
    assert "unknown choice 'source': did you mean 'to_source'" in mistake(
        *apply, "--out", "new", "--direction", "source"
    )
    assert "unknown look 'restiled'" in mistake("vision", "drive", "expert", "--look", "restiled")
