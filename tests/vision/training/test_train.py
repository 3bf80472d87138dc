"""Training: easy sets are learnt, a resumed run ends with the same bytes, mistakes are one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.compute import processor
from rl_abn.progress import ProgressReport
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import META, METRICS, TRAINING, WEIGHTS, Run, load_tensors, read_json
from rl_abn.runs import training_session as session_module
from rl_abn.runs.metrics import read_metrics
from rl_abn.stop_signal import StopSignal
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.training import train as train_module
from rl_abn.vision.training.build import compute_of
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.probes import PictureProbes
from rl_abn.vision.training.train import train
from tests.complaints import complaint
from tests.covering import more
from tests.vision.tiny_sets import SMALL, small_run, write_attributes, write_classes, write_drive


def contents(run: Run, epoch: int) -> dict[str, bytes]:
    folder = run.path / "checkpoints" / f"step-{epoch:012d}"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("drive"))


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_run_records_its_precision_and_goes_on_in_it(
    tmp_path: Path,
    classes: Path,
    monkeypatch: pytest.MonkeyPatch,
    native: bool,
    precision: str,
) -> None:
    monkeypatch.setattr(processor, "has_native_bf16", lambda device: native)
    begun, _, _ = small_run(tmp_path / "run", classes)
    assert Run.open(begun.path, VisionRunRecipe).recipe.agent.train.precision == precision
    monkeypatch.setattr(processor, "has_native_bf16", lambda device: not native)
    for asked in ((), ("train.precision=auto",)):
        run, _, resume = small_run(tmp_path / "run", classes, *asked, on_exists="resume")
        assert resume
        assert run.recipe == begun.recipe
        assert compute_of(run.recipe).precision == precision


@pytest.mark.parametrize("agent", ["resnet20", "resnet20_abn"])
def test_an_easy_set_is_learnt(tmp_path: Path, classes: Path, agent: str) -> None:
    run, data, resume = small_run(tmp_path / "run", classes, "train.epochs=5", agent=agent)
    assert (len(data.train), len(data.held_out or ()), resume) == (81, 9, False)
    outcome = train(run, data, resume=False, device="cpu")
    assert outcome.step == 5
    assert not outcome.interrupted
    rows = read_metrics(run.path / METRICS)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[-1]["held_out/accuracy"] >= 8 / 9
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert ("held_out/branch_accuracy" in rows[-1]) == (agent == "resnet20_abn")
    assert ("attention/map_mean" in rows[-1]) == (agent == "resnet20_abn")
    meta = read_json(run.path / META)
    assert (meta["status"], meta["epochs"], meta["data"]) == ("finished", 5, str(classes))
    assert meta["wall_time_s"] > 0
    # Three checkpoints are kept.
    assert [checkpoint.step for checkpoint in run.checkpoints] == [3, 4, 5]
    files = (path for path in run.path.rglob("*") if path.is_file())
    kinds = {path.suffix for path in files if not path.name.startswith("events.out")}
    assert kinds <= {".toml", ".json", ".jsonl", ".safetensors"}


def test_maps_of_held_out_pictures_are_kept_after_every_epoch(
    tmp_path: Path, classes: Path
) -> None:
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=2")
    train(run, data, resume=False, device="cpu")
    log = PictureProbes.open(run)
    assert log.steps == [1, 2]
    assert log.frames.shape == (2, 12, 12, 3)
    assert log.maps(1).shape == (2, 1, 6, 6)
    assert not np.array_equal(log.maps(1), log.maps(2))
    kept = load_tensors(run.path / "attention" / "maps" / "step-000000000002.safetensors")
    assert kept["maps"].dtype == torch.float16
    assert data.held_out is not None
    first = data.held_out.pictures.read(data.held_out.indices[:1])[0].permute(1, 2, 0)
    assert torch.equal(log.frames[0], first)
    grid = log.grid(torch.from_numpy(log.maps(2)), data.outputs)
    assert grid.shape == (96, 96 + 2 + 96, 3)


@pytest.mark.parametrize(
    "settings",
    [
        ("network.dropout=0.3", "optimizer.momentum=0.9"),
        pytest.param(
            ("optimizer.name=adam", "optimizer.learning_rate=0.001"), marks=pytest.mark.more
        ),
        pytest.param(
            ("optimizer.momentum=0.0", "optimizer.schedule={kind='cosine'}"),
            marks=pytest.mark.full,
        ),
        pytest.param(("attention.mechanism=hard_glimpses",), marks=pytest.mark.full),
    ],
    ids=["sgd", "adam", "no-momentum", "sampled glimpses"],
)
def test_a_run_cut_off_in_an_epoch_and_resumed_ends_with_the_same_bytes(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    settings = ("train.epochs=3", *settings)
    whole, data, _ = small_run(tmp_path / "whole", classes, *settings)
    train(whole, data, resume=False, device="cpu")

    cut, data, _ = small_run(tmp_path / "cut", classes, *settings)
    asked = 0
    real = train_module.losses_of

    def breaking(*arguments: object) -> object:
        nonlocal asked
        asked += torch.is_grad_enabled()
        if asked == 9:  # the fourth batch of the second epoch
            raise RuntimeError("the power is gone")
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "losses_of", breaking)
        with pytest.raises(RuntimeError):
            train(cut, data, resume=False, device="cpu")
    assert [checkpoint.step for checkpoint in cut.checkpoints] == [1]
    torch.manual_seed(99)  # another process has another generator
    again, data, resume = small_run(tmp_path / "cut", None, *settings, on_exists="resume")
    assert resume
    train(again, data, resume=True, device="cpu")
    for epoch in (1, 2, 3):
        assert contents(again, epoch) == contents(whole, epoch)
    assert set(contents(whole, 3)) == {WEIGHTS, TRAINING, "state.json"}
    ours, theirs = (read_metrics(run.path / METRICS) for run in (again, whole))
    assert [row["step"] for row in ours] == [1, 2, 3]
    for mine, other in zip(ours, theirs, strict=True):
        for key in mine.keys() - {"system/memory_mib", "time/images_per_second"}:
            assert mine[key] == other[key], key
    logs = [PictureProbes.open(run) for run in (again, whole)]
    assert all(np.array_equal(logs[0].maps(e), logs[1].maps(e)) for e in (1, 2, 3))


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_that_was_saved_and_not_measured_is_measured_when_it_goes_on(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """A kill after the checkpoint; also of the last epoch, which leaves nothing to train."""
    whole, data, _ = small_run(tmp_path / "whole", classes, "train.epochs=2")
    train(whole, data, resume=False, device="cpu")
    cut, data, _ = small_run(tmp_path / "cut", classes, "train.epochs=2")
    real = train_module.Training.measure

    def breaking(training: train_module.Training, examples: Examples) -> object:
        if training.epoch == epoch:
            raise RuntimeError("the power is gone")
        return real(training, examples)

    with monkeypatch.context() as patch:
        patch.setattr(train_module.Training, "measure", breaking)
        with pytest.raises(RuntimeError):
            train(cut, data, resume=False, device="cpu")
    assert cut.checkpoint().step == epoch
    assert [row["step"] for row in read_metrics(cut.path / METRICS)] == [1, 2][: epoch - 1]
    again, data, _ = small_run(tmp_path / "cut", None, "train.epochs=2", on_exists="resume")
    train(again, data, resume=True, device="cpu")
    assert again.status == "finished"
    assert contents(again, 2) == contents(whole, 2)
    ours, theirs = (read_metrics(run.path / METRICS) for run in (again, whole))
    assert [row["step"] for row in ours] == [1, 2]
    for mine, other in zip(ours, theirs, strict=True):
        measured = {key for key in other if key.startswith(("held_out/", "attention/"))}
        assert measured
        assert {key: mine[key] for key in measured} == {key: other[key] for key in measured}
        assert ("train/loss" in mine) == (mine["step"] != epoch)
    logs = [PictureProbes.open(run) for run in (again, whole)]
    assert all(np.array_equal(logs[0].maps(e), logs[1].maps(e)) for e in (1, 2))
    # Once.
    before = (again.path / METRICS).read_bytes()
    train(again, data, resume=True, device="cpu")
    assert (again.path / METRICS).read_bytes() == before


def test_seeds_and_epochs_draw_differently(tmp_path: Path, classes: Path) -> None:
    runs = []
    for seed in (0, 1):
        run, data, _ = small_run(tmp_path / str(seed), classes, "train.epochs=1", seed=seed)
        train(run, data, resume=False, device="cpu")
        runs.append(contents(run, 1)[WEIGHTS])
        assert data.held_out is not None
        # What is held out is the same for all seeds.
        assert data.held_out.indices.tolist()[:3] == sorted(data.held_out.indices.tolist())[:3]
    assert runs[0] != runs[1]


def test_baselines_begin_with_the_same_trunk_and_hold_out_the_same(
    tmp_path: Path, classes: Path
) -> None:
    held = []
    for agent, seed in (("resnet20", 0), ("resnet20_abn", 1)):
        _, data, _ = small_run(tmp_path / agent, classes, "train.epochs=1", agent=agent, seed=seed)
        assert data.held_out is not None
        held.append(data.held_out.indices.tolist())
    assert held[0] == held[1]


def test_a_signal_saves_the_last_whole_epoch(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.epochs=4", "train.checkpoint_every=4")
    run, data, _ = small_run(tmp_path / "run", classes, *settings)
    signals: list[StopSignal] = []
    real = session_module.StopSignal

    def remembered() -> StopSignal:
        signals.append(real())
        return signals[-1]

    calls = 0
    real_losses = train_module.losses_of

    def counted(*arguments: object) -> object:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == 13:  # the third batch of the third epoch
            signals[-1].received = 2
        return real_losses(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(session_module, "StopSignal", remembered)
    monkeypatch.setattr(train_module, "losses_of", counted)
    outcome = train(run, data, resume=False, device="cpu")
    assert (outcome.step, outcome.interrupted) == (2, True)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [2]
    assert read_json(run.path / META)["status"] == "interrupted"


@pytest.mark.more
def test_a_drive_is_learnt(tmp_path: Path, drive: Path) -> None:
    run, data, _ = prepare_run(
        env="driving_log",
        agent="driving_abn",
        seed=0,
        data=drive,
        settings=[
            "train.epochs=12",
            "train.batch_size=16",
            "pictures.rows=[0,64]",
            "pictures.size=[64,64]",
            "augment.name=none",
            "folds.k=4",
            "folds.margin=2",
            "controls.speed_scale=10",
        ],
        folder=tmp_path / "run",
        device="cpu",
    )
    assert data.outputs.names == ("steering", "throttle")
    assert data.train.speed is not None
    assert sorted(set(data.train.speed.tolist())) == pytest.approx([1.0, 1.1])
    # Fold 0 of 4 is 15 frames; two neighbours are left out.
    assert (len(data.train), len(data.held_out or ())) == (43, 15)
    outcome = train(run, data, resume=False, device="cpu")
    guess = data.train.targets.mean(dim=0)
    assert data.held_out is not None
    mean_error = float((data.held_out.targets - guess).abs().mean(dim=0)[0])
    assert outcome.numbers["held_out/steering_mae"] < 0.7 * mean_error
    assert "held_out/branch_throttle_mae" in outcome.numbers


def test_tasks_are_learnt(tmp_path: Path) -> None:
    data_folder = write_attributes(tmp_path / "faces")
    run, data, _ = small_run(
        tmp_path / "run",
        data_folder,
        "train.epochs=12",
        "optimizer.warmup=0",
        "train.held_out=0.2",
        env="celeba",
        agent="multitask_abn",
    )
    assert data.outputs.names == ("Red", "Bright_Below")
    outcome = train(run, data, resume=False, device="cpu")
    assert outcome.numbers["train/accuracy"] > 0.8
    probes = PictureProbes.open(run)
    assert probes.maps(12).shape == (2, 2, 6, 6)
    # A row a task, each under its name; pictures of 12 pixels are shown 8 times as large.
    grid = probes.grid(torch.from_numpy(probes.maps(12)), data.outputs)
    assert grid.shape == (2 * (16 + 96) + 6, 2 * 96 + 2, 3)
    many = torch.zeros(2, 40, 6, 6)
    faces = data.outputs.model_copy(update={"names": tuple(f"Task_{i}" for i in range(40))})
    assert probes.grid(many, faces).shape == (8 * (16 + 96 + 6) - 6, 2 * 96 + 2, 3)


def test_a_loss_that_is_no_number_ends_the_training_in_one_line(
    tmp_path: Path, classes: Path
) -> None:
    settings = ("train.epochs=3", "optimizer.learning_rate=1e30")
    run, data, _ = small_run(tmp_path / "run", classes, *settings)
    message = complaint(lambda: train(run, data, resume=False, device="cpu"))
    assert message.startswith(f"{run.path}: the loss became ")
    assert message.endswith(
        " in epoch 1; no checkpoint was saved; lower the learning rate (optimizer.learning_rate)"
    )
    assert run.checkpoints == []
    assert read_json(run.path / META)["status"] == "interrupted"


def test_epochs_are_saved_by_time_too(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, list[int]] = {}
    ends = []
    for minutes in ("0", "1e-9"):
        settings = ("train.epochs=3", "train.checkpoint_every=100", "train.n_probes=0")
        every = f"train.checkpoint_every_minutes={minutes}"
        run, data, _ = small_run(tmp_path / minutes, classes, *settings, every)
        train(run, data, resume=False, device="cpu")
        saved[minutes] = [checkpoint.step for checkpoint in run.checkpoints]
        ends.append(contents(run, 3))
    assert saved == {"0": [3], "1e-9": [1, 2, 3]}
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.full)]
)
def test_a_clusters_signal_saves_the_last_whole_epoch(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    settings = ("train.epochs=3", "train.checkpoint_every=100")
    run, data, _ = small_run(tmp_path / "run", classes, *settings)
    real = train_module.learning_rate

    def ending(table: object, epoch: float, epochs: int) -> float:
        if epoch > 1:
            os.kill(os.getpid(), number)
        return real(table, epoch, epochs)  # type: ignore[arg-type]

    monkeypatch.setattr(train_module, "learning_rate", ending)
    outcome = train(run, data, resume=False, device="cpu")
    assert (outcome.interrupted, outcome.saved, outcome.step) == (True, True, 1)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [1]
    assert run.status == "interrupted"


def test_going_on_says_where_and_never_begins_again_without_a_word(
    tmp_path: Path, classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=1")
    train(run, data, resume=False, device="cpu")
    more, data, _ = small_run(run.path, None, "train.epochs=2", on_exists="resume")
    with ProgressReport("training", 2, "batches") as report:
        train(more, data, resume=True, device="cpu", report=report)
    assert capsys.readouterr().err.splitlines()[0] == (
        f"rl-abn: going on from epoch 1 of 2; checkpoint {run.path}/checkpoints/step-000000000001"
    )
    shutil.rmtree(run.path / "checkpoints")
    more.update_meta(epochs=0)
    again, data, _ = small_run(run.path, None, "train.epochs=2", on_exists="resume")
    before = (run.path / METRICS).read_bytes()
    maps = sorted((run.path / "attention" / "maps").iterdir())
    assert len(maps) >= 2
    assert complaint(lambda: train(again, data, resume=True, device="cpu")) == (
        f"{run.path}: expected a checkpoint to go on from, got none, though 2 epochs were trained; "
        "use --on-exists new or overwrite"
    )
    assert (run.path / METRICS).read_bytes() == before
    assert sorted((run.path / "attention" / "maps").iterdir()) == maps


def test_a_diverging_training_leaves_the_run_it_replaces(
    tmp_path: Path, classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, data, _ = small_run(tmp_path / "run", classes, "train.epochs=1")
    train(old, data, resume=False, device="cpu")
    before = {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()}
    settings = ("train.epochs=3", "optimizer.learning_rate=1e30")
    run, data, _ = small_run(tmp_path / "run", classes, *settings, on_exists="overwrite")
    complaint(lambda: train(run, data, resume=False, device="cpu"))
    assert "the run that was there is back" in capsys.readouterr().err
    after = {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("file", [WEIGHTS, *more(TRAINING, "state.json")])
def test_a_damaged_checkpoint_is_set_aside_and_the_end_is_the_same(
    tmp_path: Path, classes: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=2")
    train(run, data, resume=False, device="cpu")
    whole = contents(run, 2)
    path = run.checkpoint().path / file
    path.write_bytes(path.read_bytes()[:10])
    again, data, _ = small_run(tmp_path / "run", None, "train.epochs=2", on_exists="resume")
    train(again, data, resume=True, device="cpu")
    assert f"{path}: expected" in capsys.readouterr().err
    assert contents(again, 2) == whole
    assert (run.path / "checkpoints" / "damaged-000000000002").is_dir()


def test_a_checkpoint_of_another_epoch_than_its_folder_is_refused(
    tmp_path: Path, classes: Path
) -> None:
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=1")
    train(run, data, resume=False, device="cpu")
    path = run.checkpoint().path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": 7}))
    message = complaint(lambda: train(run, data, resume=True, device="cpu"))
    assert "expected epoch 1, as the folder is named, got 7" in message


def test_a_run_resumes_as_itself_alone(tmp_path: Path, classes: Path) -> None:
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=1")
    train(run, data, resume=False, device="cpu")
    other = complaint(
        lambda: small_run(
            run.path, None, "train.epochs=1", "loss.branch_coef=0.5", on_exists="resume"
        )
    )
    assert "only train.epochs, train.keep and train.checkpoint_every_minutes may change" in other
    changed = write_classes(tmp_path / "other", n_train=31)
    assert "expected the data the run was begun with" in complaint(
        lambda: small_run(run.path, changed, "train.epochs=1", on_exists="resume")
    )
    more, data, _ = small_run(run.path, None, "train.epochs=2", on_exists="resume")
    assert train(more, data, resume=True, device="cpu").step == 2
    opened = Run.open(run.path, VisionRunRecipe)
    assert opened.recipe.agent.train.epochs == 2


def test_data_that_does_not_fit_leaves_no_folder(
    tmp_path: Path, classes: Path, drive: Path
) -> None:
    def asked(data: Path, env: str, agent: str, *settings: str) -> str:
        return complaint(
            lambda: prepare_run(
                env=env,
                agent=agent,
                seed=0,
                data=data,
                settings=settings,
                folder=tmp_path / "run",
                device="cpu",
            )
        )

    assert "got a driving log" in asked(drive, "cifar10", "resnet20")
    assert "expected a driving log" in asked(classes, "driving_log", "driving_abn")
    assert "expected a set with attributes" in asked(classes, "celeba", "multitask_abn")
    assert "for resnet20, got 'regression'" in asked(drive, "driving_log", "resnet20")
    assert "which takes the vehicle's speed" in asked(
        classes, "cifar10", "driving_abn_classes", "pictures.size=[64,64]"
    )
    assert "did you mean 'trains'" in asked(
        tmp_path / "train", "cifar10", "resnet20"
    ) or "there is no such file or folder" in asked(tmp_path / "nothing", "cifar10", "resnet20")
    assert not (tmp_path / "run").exists()


def test_small_settings_are_settings_of_these_recipes(tmp_path: Path, classes: Path) -> None:
    run, _, _ = small_run(tmp_path / "run", classes, "train.epochs=1")
    assert run.recipe.agent.network.options == {"depth": 8}
    assert len(SMALL) == 6
    assert Run.open(run.path, VisionRunRecipe).recipe == run.recipe
