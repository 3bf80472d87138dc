"""Training a translator: the same bytes after a resume, weight 0 is plain CycleGAN, mistakes."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file, save_file

from rl_abn.recipes import TranslationRunRecipe, list_recipes, make_translation_recipe
from rl_abn.runs import META, METRICS, WEIGHTS, Run, read_json
from rl_abn.runs.metrics import read_metrics
from rl_abn.vision.training.prepare import prepare_run as prepare_network
from rl_abn.vision.training.train import train as train_network
from rl_abn.vision.translation import train as train_module
from rl_abn.vision.translation.domains import DOMAINS
from rl_abn.vision.translation.train import train
from tests.complaints import complaint
from tests.covering import more
from tests.vision.tiny_sets import small_run, write_drive
from tests.vision.translation.tiny_domains import TINY, tiny_run, write_domains, write_network

UNSTEADY = {"system/memory_mib", "time/steps_per_second"}


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_domains(tmp_path_factory.mktemp("domains"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, domains: tuple[Path, Path]) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "run", domains[0])


def files(run: Path, step: int) -> dict[str, bytes]:
    folder = run / "checkpoints" / f"step-{step:012d}"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_training_logs_saves_and_draws_pairs(
    tmp_path: Path, domains: tuple[Path, Path], network: Path
) -> None:
    run, material, resume = tiny_run(tmp_path / "run", domains, network)
    assert not resume
    assert (len(material.source.pictures), len(material.target.pictures)) == (30, 24)
    before = {k: v.clone() for k, v in material.maps._network.state_dict().items()}  # type: ignore[union-attr]
    outcome = train(run, material, resume=False)
    assert (outcome.step, outcome.interrupted) == (6, False)
    after = material.maps._network.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [2, 4, 6]
    rows = read_metrics(run.path / METRICS)
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    assert {"train/consistency_loss", "sheet/source_map_distance"} <= rows[-1].keys()
    assert read_json(run.path / META)["status"] == "finished"
    sheet = cv2.imread(str(run.path / "sheets" / "step-000000000006.png"))
    # Twelve rows: three pictures of each domain, each with its map; pictures eightfold, a label.
    assert sheet.shape == (12 * (18 + 96 + 2), 2 * (96 + 2) - 2, 3)
    known = read_json(run.path / DOMAINS)
    assert (known["source"]["n"], known["network"]["epoch"]) == (30, 1)


@pytest.mark.parametrize("cut", [3, *more(4)])
def test_a_run_cut_off_and_resumed_ends_with_the_same_bytes(
    tmp_path: Path,
    domains: tuple[Path, Path],
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
) -> None:
    whole, material, _ = tiny_run(tmp_path / "whole", domains, network)
    train(whole, material, resume=False)
    part, material, _ = tiny_run(tmp_path / "part", domains, network)
    asked = 0
    real = train_module.backward

    def breaking(*arguments: object) -> object:
        nonlocal asked
        asked += 1
        if asked == cut + 1:
            raise RuntimeError("the power is gone")
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "backward", breaking)
        with pytest.raises(RuntimeError):
            train(part, material, resume=False)
    torch.manual_seed(99)  # another process has another generator
    again, material, resume = tiny_run(tmp_path / "part", domains, None, on_exists="resume")
    assert resume
    train(again, material, resume=True)
    for step in (2, 4, 6):
        assert files(again.path, step) == files(whole.path, step)
    sheets = "sheets/step-000000000006.png"
    assert (again.path / sheets).read_bytes() == (whole.path / sheets).read_bytes()
    ours, theirs = (read_metrics(run.path / METRICS) for run in (again, whole))
    assert len(ours) == len(theirs) == 4
    for mine, other in zip(ours, theirs, strict=True):
        for key in mine.keys() - UNSTEADY:
            assert mine[key] == other[key], key


@pytest.mark.more
def test_a_signal_saves_the_step_in_hand_and_what_was_not_logged(
    tmp_path: Path,
    domains: tuple[Path, Path],
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, material, _ = tiny_run(tmp_path / "whole", domains, network)
    train(whole, material, resume=False)
    run, material, _ = tiny_run(tmp_path / "run", domains, network)
    real = train_module.Training.next_step

    def stopping(training: train_module.Training, *arguments: object) -> None:
        real(training, *arguments)  # type: ignore[arg-type]
        if training.step == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(train_module.Training, "next_step", stopping)
        outcome = train(run, material, resume=False)
    assert (outcome.step, outcome.interrupted, outcome.saved) == (3, True, True)
    assert json.loads(files(run.path, 3)["state.json"])["summed"] == 1
    again, material, _ = tiny_run(tmp_path / "run", domains, network, on_exists="resume")
    train(again, material, resume=True)
    assert files(again.path, 6) == files(whole.path, 6)
    row, other = (read_metrics(path / METRICS)[2] for path in (again.path, whole.path))
    assert row["train/cycle_loss"] == other["train/cycle_loss"]


def test_weight_0_is_plain_cyclegan_bit_for_bit(
    tmp_path: Path, domains: tuple[Path, Path], network: Path
) -> None:
    weights = {}
    for name, used, weight in (("plain", None, 0), ("watched", network, 0), ("kept", network, 1)):
        settings = ("train.steps=3", f"loss.consistency={weight}")
        run, material, _ = tiny_run(tmp_path / name, domains, used, *settings)
        train(run, material, resume=False)
        weights[name] = files(run.path, 3)[WEIGHTS]
    assert weights["plain"] == weights["watched"]
    assert weights["plain"] != weights["kept"]


def test_seeds_differ_and_pictures_are_all_seen_before_one_comes_again(
    tmp_path: Path, domains: tuple[Path, Path]
) -> None:
    _, material, _ = tiny_run(tmp_path / "run", domains, None, "loss.consistency=0")
    orders = [train_module._Order(material.target, seed, 1) for seed in (0, 1)]
    seen = [torch.cat([order._numbers(step, 2) for step in range(12)]) for order in orders]
    assert all(sorted(numbers.tolist()) == list(range(24)) for numbers in seen)
    assert not torch.equal(*seen)
    assert torch.equal(orders[0]._numbers(5, 2), seen[0][10:12])  # whatever was asked before


def test_a_damaged_pool_is_named_and_the_checkpoint_before_it_taken(
    tmp_path: Path,
    domains: tuple[Path, Path],
    network: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, material, _ = tiny_run(tmp_path / "run", domains, network, "train.steps=4")
    train(run, material, resume=False)
    path = run.checkpoints[-1].path / WEIGHTS
    tensors = load_file(path)
    tensors["source_pool.count"] = torch.tensor(4)
    save_file(tensors, path)
    again, material, _ = tiny_run(
        tmp_path / "run", domains, network, "train.steps=4", on_exists="resume"
    )
    train(again, material, resume=True)
    said = capsys.readouterr().err
    assert "expected source_pool.count of 0 to 3, got 4" in said
    assert "going on from step 2" in said


def test_mistakes_are_one_line(tmp_path: Path, domains: tuple[Path, Path], network: Path) -> None:
    source, target = domains
    empty, damaged = tmp_path / "empty", write_domains(tmp_path)[1]
    empty.mkdir()
    (damaged / "train" / "red" / "003.png").write_bytes(b"no picture")

    def made(*settings: str, pair: tuple[Path, Path] = domains, used: Path | None = network) -> str:
        return complaint(lambda: tiny_run(tmp_path / "run", pair, used, *settings))

    assert "expected folders of pictures" in made(pair=(source, empty))
    assert "003.png: expected a picture, got a damaged" in made(pair=(source, damaged))
    assert "did you mean 'target'" in made(pair=(source, target.with_name("targt")))
    assert "expected --network RUN" in made(used=None)
    assert "multiples of 4 from 8" in made("pictures.size=[12,14]")
    assert "expected pictures of 24 pixels a side or more" in made("discriminator.layers=3")
    assert "unknown key 'loss.consistancy'" in made("loss.consistancy=1")
    assert not (tmp_path / "run").exists()
    without = write_network_without_maps(tmp_path / "baseline", source)
    assert "expected --network with attention maps" in made(used=without)
    run, _, _ = tiny_run(tmp_path / "run", domains, network)
    assert "a translator's" in complaint(lambda: tiny_run(tmp_path / "b", domains, run.path))
    other = complaint(
        lambda: tiny_run(tmp_path / "run", (source, source), network, on_exists="resume")
    )
    assert "expected the target the run was begun with, 24 pictures, got 30, or others" in other
    Run.open(tmp_path / "run", TranslationRunRecipe)


def test_a_run_goes_on_where_its_pictures_have_other_names_now(
    tmp_path: Path, domains: tuple[Path, Path], network: Path
) -> None:
    tiny_run(tmp_path / "run", domains, network)
    source, target = (shutil.copytree(path, tmp_path / f"{path.name}-2") for path in domains)
    run, material, resume = tiny_run(
        tmp_path / "run", (source, target), network, on_exists="resume"
    )
    assert (resume, run.recipe.env_name) == (True, "source-to-target")
    assert material.source.known.path == str(source)


@pytest.mark.parametrize("on", ["both", *more("target")])
def test_the_target_may_have_pictures_of_another_size(
    tmp_path: Path, domains: tuple[Path, Path], on: str
) -> None:
    """All are shown to the network at the size of the source's."""
    drive = write_drive(tmp_path / "drive", n=8, side=72)
    settings = ("pictures.rows=[4,68]", "pictures.size=[64,72]", "augment.name=none")
    driver, data, _ = prepare_network(
        env="driving_log",
        agent="driving_abn",
        seed=0,
        data=drive,
        settings=["train.epochs=1", "folds.margin=0", "folds.k=2", "train.n_probes=0", *settings],
        folder=tmp_path / "driver",
        device="cpu",
    )
    train_network(driver, data, resume=False, device="cpu")
    settings = (f"loss.consistency_on={on}", "train.steps=1")
    run, material, _ = tiny_run(tmp_path / "run", (drive, domains[1]), driver.path, *settings)
    assert material.target.stored == (12, 12)
    assert train(run, material, resume=False).step == 1


def write_network_without_maps(folder: Path, data: Path) -> Path:
    run, opened, _ = small_run(folder, data, "train.epochs=1", agent="resnet20")
    train_network(run, opened, resume=False, device="cpu")
    return run.path


def test_the_recipe_that_ships_is_valid() -> None:
    assert list_recipes("agents/translation") == ["cyclegan"]
    recipe = make_translation_recipe("a-to-b", "cyclegan", 0, [s for s in TINY if "keep" in s])
    assert recipe.agent.pictures.size == (64, 64)
    assert recipe.agent.loss.cycle == 10.0
