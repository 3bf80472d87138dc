"""Evaluation: numbers as counted by hand, interventions that do what they say, baselines."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from rl_abn.attention import INTERVENTIONS
from rl_abn.estimates import Estimate
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Run
from rl_abn.vision.data.examples import open_test, open_training
from rl_abn.vision.data.pictures import PictureFiles
from rl_abn.vision.evaluation import predict as predict_module
from rl_abn.vision.evaluation.calibration import calibration
from rl_abn.vision.evaluation.evaluate import evaluate_run, override_named
from rl_abn.vision.evaluation.interventions import ON_PICTURES, read_interventions
from rl_abn.vision.evaluation.predict import Predictions, predict
from rl_abn.vision.tasks import TASKS
from rl_abn.vision.tasks.controls import score_controls
from rl_abn.vision.tasks.scores import Truth
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import data_of, prepare_run
from rl_abn.vision.training.train import train
from rl_abn.vision.visualize.watch import Wanted, record_run
from tests.complaints import complaint
from tests.vision.tiny_sets import small_run, write_attributes, write_classes, write_drive

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> VisionRun:
    folder = tmp_path_factory.mktemp("classes")
    settings = ("train.epochs=2", "network.dropout=0.3", "train.keep=0")
    made, data, _ = small_run(folder / "run", write_classes(folder / "set"), *settings)
    train(made, data, resume=False, device="cpu")
    return Run.open(made.path, VisionRunRecipe)


@pytest.fixture(scope="module", params=["driving_abn", "driving_abn_classes"])
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VisionRun:
    folder = tmp_path_factory.mktemp("drive")
    made, data, _ = prepare_run(
        env="car_racing",
        agent=request.param,
        seed=0,
        data=write_drive(folder / "drive"),
        settings=[
            "train.epochs=2",
            "pictures.rows=[0,64]",
            "folds.fold=1",
            "folds.k=3",
            "folds.margin=0",
        ],
        folder=folder / "run",
        device="cpu",
    )
    train(made, data, resume=False, device="cpu")
    return made


def test_numbers_are_what_counting_gives(run: VisionRun) -> None:
    result = evaluate_run(run, device="cpu")
    assert (result.split, result.n, result.step) == ("test", 30, 2)
    trained = load_network(run)
    test = open_test(run.recipe, trained.outputs, Path(result.data), CPU)
    images = trained.batches.images(test.pictures.read(torch.arange(30)))
    with torch.no_grad(), trained.batches.compute.autocast(CPU):
        attention = trained.network.attend(images)
    targets = torch.arange(3).repeat_interleave(10)
    assert torch.equal(test.targets, targets)
    assert attention.branch_outputs is not None
    for row, logits in zip(result.rows, (attention.outputs, attention.branch_outputs), strict=True):
        right = int((logits.argmax(dim=1) == targets).sum())
        p, n, z = right / 30, 30, 1.959963985
        half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        assert row.numbers["top_1"] == pytest.approx((p, middle - half, middle + half))
        assert "top_5" not in row.numbers
        sure, answer = logits.double().softmax(dim=1).max(dim=1)
        ece = 0.0
        for low in range(15):
            inside = (sure > low / 15) & (sure <= (low + 1) / 15)
            if inside.any():
                hits = (answer == targets)[inside].double().mean()
                ece += float(inside.double().mean() * (sure[inside].mean() - hits).abs())
        assert row.numbers["ece"] == pytest.approx(Estimate(ece, None, None))


def test_top_5_is_told_from_ten_classes_on() -> None:
    probabilities = torch.linspace(0.01, 0.19, 10).flip(0).repeat(2, 1)
    row = TASKS["classification"].score_probabilities(
        "x", probabilities, Truth(torch.tensor([4, 5]))
    )
    assert row.numbers["top_1"].value == 0
    assert row.numbers["top_5"].value == 0.5


def test_networks_that_look_once_a_task_get_smaller_batches(tmp_path, monkeypatch) -> None:
    data = write_attributes(tmp_path / "set")
    run, made, _ = small_run(
        tmp_path / "run", data, "train.epochs=1", env="celeba", agent="multitask_abn"
    )
    train(run, made, resume=False, device="cpu")
    trained = load_network(run)
    examples = made.train
    whole = predict(trained, examples)
    sizes = []
    attend = trained.network.attend

    def counted(images, *rest):
        sizes.append(len(images))
        return attend(images, *rest)

    monkeypatch.setattr(trained.network, "attend", counted)
    monkeypatch.setattr(predict_module, "BATCH", 16)
    parts = predict(trained, examples)
    assert max(sizes) == 8  # two tasks, so 16 looks
    torch.testing.assert_close(parts.outputs, whole.outputs)


def test_tasks_are_counted_one_by_one() -> None:
    logits = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    row = TASKS["multilabel"].score("x", logits, Truth(torch.tensor([[1.0, 0.0], [1.0, 0.0]])))
    assert row.numbers["accuracy"].value == 0.75
    assert row.numbers["worst_task"].value == 0.5


def test_errors_of_controls() -> None:
    driven = torch.tensor([[0.0, 0.5], [0.5, 0.5], [1.0, 0.5]])
    row = score_controls("x", torch.zeros(3, 2), driven, torch.zeros(3, dtype=torch.long))
    assert row.numbers["steering_mae"].value == pytest.approx(0.5)
    assert row.numbers["steering_rmse"].value == pytest.approx(np.sqrt(1.25 / 3))
    assert row.numbers["throttle_mae"].value == pytest.approx(0.5)
    assert list(score_controls("x", torch.zeros(3, 1), driven, torch.zeros(3)).numbers) == [
        "steering_mae",
        "steering_rmse",
    ]


def test_a_difference_is_paired() -> None:
    own = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    changed = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    truth, task = Truth(torch.tensor([0, 0, 1, 1])), TASKS["classification"]
    row = task.score("x", changed, truth)
    found = task.beside(row, changed, own, truth)
    assert found.difference is not None
    assert found.difference.value == -0.5
    half = 1.96 * np.std([-1, 0, 0, -1], ddof=1) / 2
    assert found.difference.low == pytest.approx(-0.5 - half)
    assert found.stayed == 0.5


def test_interventions_change_the_answers_as_their_maps_say(run: VisionRun) -> None:
    names = read_interventions(["zero", "all"], run, ON_PICTURES)
    assert names == [name for name in INTERVENTIONS if name != "frozen"]
    result = evaluate_run(run, interventions=names, device="cpu")
    assert [row.intervention for row in result.rows] == [None, None, *names]
    trained = load_network(run)
    test = open_test(run.recipe, trained.outputs, Path(result.data), CPU)
    own = predict(trained, test)
    # (1 + 0) f is f: what the plain trunk says.
    blind = predict(trained, test, torch.zeros(1))
    row = result.rows[2]
    right = (blind.outputs.argmax(dim=1) == test.targets).double().mean()
    assert row.numbers["top_1"].value == pytest.approx(float(right))
    same = (blind.outputs.argmax(dim=1) == own.outputs.argmax(dim=1)).double().mean()
    assert row.stayed == pytest.approx(float(same))
    assert not torch.equal(blind.outputs, own.outputs)
    # The attention branch answers before the gate.
    assert blind.branch_outputs is not None
    assert own.branch_outputs is not None
    assert torch.equal(blind.branch_outputs, own.branch_outputs)
    assert evaluate_run(run, interventions=names, device="cpu") == result


def test_maps_of_other_pictures_are_of_all_classes(
    run: VisionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files lie class by class, so in their order a batch before is mostly of the same class."""
    monkeypatch.setattr(predict_module, "BATCH", 6)
    trained = load_network(run)
    test = open_test(run.recipe, trained.outputs, Path(evaluate_run(run, device="cpu").data), CPU)
    plain = predict(trained, test)
    own, seen = [], []
    for _, batch in trained.batches.in_order(test, 6):
        with torch.no_grad():
            own.append(trained.network.attend(batch.images).map)

    def noted(maps: torch.Tensor) -> torch.Tensor:
        seen.append(maps)
        return maps

    counts: list[int] = []
    report = SimpleNamespace(update=counts.append)
    again = predict(trained, test, noted, report, done_before=100)  # type: ignore[arg-type]
    for one, other in zip(again[:2], plain[:2], strict=True):
        torch.testing.assert_close(one, other)
    assert counts == [106, 112, 118, 124, 130]
    first = torch.cat(seen)
    order = torch.cdist(first.flatten(1), torch.cat(own).flatten(1)).argmin(dim=1)
    assert sorted(order.tolist()) == list(range(30))
    assert len(set(test.targets[order][:6].tolist())) == 3
    seen.clear()
    predict(trained, test, noted)
    torch.testing.assert_close(torch.cat(seen), first)  # the same order at every call


def test_what_each_place_of_a_drive_looks_at_is_shifted_as_a_picture(tmp_path: Path) -> None:
    data = write_drive(tmp_path / "drive", n=24)
    rows = ("pictures.rows=[0,64]", "pictures.size=[66,200]", "folds.k=3", "folds.margin=0")
    pairs = ("attention.mechanism=non_local", "train.epochs=1")
    made, opened, _ = prepare_run(
        env="car_racing",
        agent="driving_abn",
        seed=0,
        data=data,
        settings=[*rows, *pairs],
        folder=tmp_path / "run",
        device="cpu",
    )
    train(made, opened, resume=False, device="cpu")
    trained = load_network(made)
    height, width = trained.layout.places
    assert height != width
    pictures, speed = torch.rand(2, 3, *trained.outputs.size), torch.ones(2)
    shifted = override_named("shifted", 0, trained.layout, CPU)
    with torch.no_grad():
        own, now = (trained.network.attend(pictures, speed, maps).map for maps in (None, shifted))
    assert own.shape[3] == height * width
    down, right = -(-height // 3), -(-width // 3)
    looked_at = own.unflatten(3, (height, width)).roll((down, right), dims=(3, 4))
    assert torch.equal(now, looked_at.flatten(3))


def test_frames_of_a_drive_stay_in_the_order_of_time(driven: VisionRun) -> None:
    trained = load_network(driven)
    held_out = open_training(driven.recipe, data_of(driven), CPU).held_out
    assert held_out is not None
    seen: list[torch.Tensor] = []
    predict(trained, held_out, lambda maps: seen.append(maps) or maps)  # type: ignore[func-returns-value]
    batch = trained.batches.batch(held_out, torch.arange(len(held_out)))
    with torch.no_grad(), trained.batches.compute.autocast(CPU):
        own = trained.network.attend(batch.images, batch.speed).map
    torch.testing.assert_close(torch.cat(seen).float(), own)


def test_only_what_is_asked_about_is_decoded(
    run: VisionRun, driven: VisionRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, decode = [], PictureFiles.decode

    def counted(files: PictureFiles, index: int) -> np.ndarray:
        decoded.append(index)
        return decode(files, index)

    monkeypatch.setattr(PictureFiles, "decode", counted)
    for each, n in ((run, 9), (driven, 20)):
        decoded.clear()
        result = evaluate_run(each, split="held_out", interventions=["uniform"], device="cpu")
        assert result.n == n
        assert len(decoded) == 1 + n  # the first of the set, for its size, and each once
    decoded.clear()
    record_run(driven, out=tmp_path / "a.mp4", wanted=Wanted(frames=3), device="cpu")
    assert len(decoded) == 1 + 3


def test_the_surer_branch_answers_under_dropout(run: VisionRun) -> None:
    plain, sampled = evaluate_run(run, device="cpu"), evaluate_run(run, samples=8, device="cpu")
    assert sampled.rows[:2] == plain.rows
    assert [row.name for row in sampled.rows[2:]] == [
        "Bayesian, 8 samples",
        "its perception branch",
        "its attention branch",
    ]
    assert 0 <= sampled.extra["from_branch"] <= 1
    assert plain.extra["reliability"].keys() == {"plain", "attention_branch"}
    assert sampled.extra["reliability"].items() > plain.extra["reliability"].items()
    bins = sampled.extra["reliability"]["bayesian"]
    assert sum(bins["counts"]) == 30
    assert bins["expected_error"] == pytest.approx(sampled.rows[2].numbers["ece"].value)
    # Outside of the samples, chance plays no part; within them, the seed decides.
    assert evaluate_run(run, samples=8, device="cpu") == sampled
    assert evaluate_run(run, samples=8, seed=1, device="cpu").extra != sampled.extra


def test_held_out_pictures_and_older_checkpoints(run: VisionRun) -> None:
    held_out = evaluate_run(run, split="held_out", device="cpu")
    data = open_training(run.recipe, held_out.data, CPU)
    assert data.held_out is not None
    assert held_out.n == len(data.held_out) == 9
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    for epoch in (1, 2):
        found = evaluate_run(run, split="held_out", step=epoch, device="cpu").rows[0]
        assert found.numbers["top_1"].value == pytest.approx(rows[epoch - 1]["held_out/accuracy"])
    assert "expected a checkpoint at step 3" in complaint(
        lambda: evaluate_run(run, step=3, device="cpu")
    )


def test_results_are_kept(run: VisionRun) -> None:
    result = evaluate_run(run, interventions=["zero"], device="cpu")
    path = result.keep(run)
    assert path.parent == run.path / "evaluations"
    kept = json.loads(path.read_text())
    assert kept["rows"][2]["intervention"] == "zero"
    assert kept["rows"][0]["numbers"]["top_1"]["value"] == result.rows[0].numbers["top_1"].value
    assert evaluate_run(run, device="cpu").keep(run) != path


def test_results_on_other_data_and_of_other_draws_are_kept_beside(
    run: VisionRun, tmp_path: Path
) -> None:
    own = evaluate_run(run, interventions=["swap"], device="cpu")
    named = own._replace(data=str(Path(own.data) / ".." / "set"))  # the same place
    others = [shutil.copytree(own.data, tmp_path / name / "set") for name in "ab"]
    results = [
        own,
        evaluate_run(run, interventions=["swap"], seed=1, device="cpu"),
        *(evaluate_run(run, data=other, device="cpu") for other in others),
        evaluate_run(run, device="cpu"),
    ]
    paths = [result.keep(run) for result in results]
    assert len(set(paths)) == len(paths)
    assert named.keep(run) == paths[0]
    assert re.fullmatch(r"epoch-2-test-interventions-\w{8}-seed-1.json", paths[1].name)
    assert re.fullmatch(r"epoch-2-test-data-\w{8}.json", paths[2].name)
    assert paths[4].name == "epoch-2-test.json"
    diagram = results[2].keep_diagram(run)
    assert diagram == paths[2].with_name(f"{paths[2].stem}-reliability.png")


def test_reliability_is_kept_beside_it_as_numbers_and_as_a_picture(run: VisionRun) -> None:
    result = evaluate_run(run, samples=2, device="cpu")
    path, diagram = result.keep(run), result.keep_diagram(run)
    assert diagram == path.with_name(f"{path.stem}-reliability.png")
    assert cv2.imread(str(diagram)).shape == (720, 1584, 3)  # three panels
    kept = json.loads(path.read_text())["extra"]["reliability"]
    assert kept == result.extra["reliability"]
    for name, row in zip(("plain", "attention_branch", "bayesian"), result.rows, strict=False):
        shown = kept[name]
        assert sum(shown["counts"]) == 30
        right = [a * n for a, n in zip(shown["accuracy"], shown["counts"], strict=True) if n]
        assert sum(right) / 30 == pytest.approx(row.numbers["top_1"].value)
        assert shown["expected_error"] == pytest.approx(row.numbers["ece"].value)
        empty = [i for i, n in enumerate(shown["counts"]) if not n]
        assert empty
        assert all(shown["accuracy"][i] is shown["confidence"][i] is None for i in empty)


def test_a_diagram_that_cannot_be_written_is_one_line(
    run: VisionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluate_run(run, device="cpu")
    result.keep_diagram(run)
    before = sorted((run.path / "evaluations").iterdir())

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    message = complaint(lambda: result.keep_diagram(run))
    assert message.endswith("-reliability.png: cannot be written: No space left on device")
    assert sorted((run.path / "evaluations").iterdir()) == before


def test_calibration_of_known_probabilities() -> None:
    """One answer in the 7th of 15 bins, right; two in the last one, one of them right."""
    logits = torch.tensor([[0.45, 0.3, 0.25], [0.98, 0.01, 0.01], [0.96, 0.02, 0.02]]).log()
    own = Predictions(torch.tensor([0, 0, 1]), logits, None)
    assert calibration(own).keys() == {"plain"}
    shown = calibration(own)["plain"]
    assert shown["counts"] == [0] * 6 + [1] + [0] * 7 + [2]
    assert (shown["accuracy"][6], shown["accuracy"][14]) == (1, 0.5)
    assert shown["confidence"][14] == pytest.approx(0.97)
    assert shown["expected_error"] == pytest.approx((0.55 + 2 * 0.47) / 3)


def test_a_drive_is_scored_beside_simple_guesses(driven: VisionRun) -> None:
    result = evaluate_run(driven, interventions=["uniform"], device="cpu")
    assert (result.split, result.n) == ("held_out", 20)
    log = np.array([np.sin(i / 5) for i in range(60)])
    held, train_part = log[20:40], np.concatenate([log[:20], log[40:]])
    rows = {row.name: row.numbers for row in result.rows}
    mean = np.abs(held - train_part.mean()).mean()
    assert rows["mean of the training frames"]["steering_mae"].value == pytest.approx(
        mean, rel=1e-4
    )
    previous = np.abs(held - log[19:39])
    found = rows["previous frame's control"]
    assert found["steering_mae"].value == pytest.approx(previous.mean(), rel=1e-4)
    assert found["steering_rmse"].value == pytest.approx(np.sqrt((previous**2).mean()), rel=1e-4)
    classes = driven.recipe.agent_name == "driving_abn_classes"
    assert ("top_1" in rows["perception branch"]) == classes
    assert ("throttle_mae" in rows["perception branch"]) == (not classes)
    assert "steering_mae" in rows["perception branch"]
    assert next(row for row in result.rows if row.intervention).difference is not None
    assert "expected --split held_out for a drive" in complaint(
        lambda: evaluate_run(driven, split="test", device="cpu")
    )
    assert ("reliability" in result.extra) == classes
    assert (result.keep_diagram(driven) is not None) == classes
    if not classes:
        assert "a network that classifies for --samples" in complaint(
            lambda: evaluate_run(driven, samples=2, device="cpu")
        )


def test_mistakes(run: VisionRun, tmp_path: Path) -> None:
    assert complaint(lambda: read_interventions(["zeor"], run, ON_PICTURES)) == (
        "unknown intervention 'zeor': did you mean 'zero'?"
    )
    other = write_classes(tmp_path / "other", n_train=12)
    assert "expected the set the run was trained on" in complaint(
        lambda: evaluate_run(run, data=other, split="held_out", device="cpu")
    )
    (other / "test" / "red").rename(other / "test" / "rust")
    (other / "train" / "red").rename(other / "train" / "rust")
    assert "expected the 3 classes the network was trained on" in complaint(
        lambda: evaluate_run(run, data=other, device="cpu")
    )


def test_a_damaged_checkpoint_names_a_whole_one(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "set", n_train=8, n_test=2)
    run, opened, _ = small_run(tmp_path / "run", data, "train.epochs=2")
    train(run, opened, resume=False, device="cpu")
    path = run.checkpoint().path / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    message = complaint(lambda: evaluate_run(run, device="cpu"))
    assert message.startswith(f"{path}: expected a safetensors file")
    assert message.endswith("the newest whole one: --checkpoint 1")
    (run.path / "outputs.json").write_text('{"answers": "clases"}')
    message = complaint(lambda: evaluate_run(run, device="cpu"))
    assert message.startswith(f"{run.path / 'outputs.json'}: ")
