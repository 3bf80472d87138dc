"""What each task owns, a task of one's own, and files from before tasks had these names."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import rl_abn
from rl_abn.cli.vision.tables import vision_tables
from rl_abn.estimates import Estimate
from rl_abn.recipes import VisionRunRecipe, make_vision_recipe
from rl_abn.recipes.vision import VisionNetworkTable
from rl_abn.render.sheet import Example, draw_sheet
from rl_abn.runs import Run
from rl_abn.vision.evaluation.evaluate import evaluate_run
from rl_abn.vision.tasks import TASKS, Task, column_of, task_named, tasks_for
from rl_abn.vision.tasks.outputs import OUTPUTS, Outputs
from rl_abn.vision.tasks.scores import Column, Row, Truth
from rl_abn.vision.training.build import load_network
from rl_abn.vision.training.edit_examples import write_examples
from rl_abn.vision.training.train import train
from rl_abn.vision.visualize.watch import record_run
from tests.complaints import complaint
from tests.vision.tiny_sets import small_run, write_attributes, write_classes

OLD_NAMES = {"classification": "classes", "multilabel": "tasks", "regression": "controls"}
DATA_KINDS = ("classes", "attributes", "driving")
OUTPUTS_OF = {
    "classification": torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]),
    "multilabel": torch.tensor([[2.0, -1.0], [-1.0, 1.0], [3.0, 1.0]]),
    "regression": torch.tensor([[0.5, 0.0], [0.0, 1.0], [-0.5, 1.0]]),
}
TARGETS_OF = {
    "classification": torch.tensor([0, 1, 1]),
    "multilabel": torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
    "regression": torch.tensor([[0.5, 0.0], [0.5, 1.0], [-0.5, 0.0]]),
}


def truth_of(name: str) -> Truth:
    targets = TARGETS_OF[name]
    return Truth(targets, targets, torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("name", TASKS)
def test_a_network_beside_itself_has_no_difference(name: str) -> None:
    task, outputs, truth = TASKS[name], OUTPUTS_OF[name], truth_of(name)
    row = task.score("x", outputs, truth)
    assert set(row.numbers) <= set(task.columns)
    assert column_of(next(iter(row.numbers))).brief
    beside = task.beside(row, outputs, outputs, truth)
    assert beside.difference is not None
    assert beside.difference.value == 0
    assert beside.stayed == (None if task.drives else 1.0)


@pytest.mark.parametrize(
    ("name", "errors", "mean_score"),
    [
        ("classification", [0.0, 0.0, 1.0], 2 / 3),
        ("multilabel", [0.0, 0.5, 0.0], 5 / 6),
        ("regression", [0.0, 0.5, 0.0], 1.5 / 6),
    ],
)
def test_errors_and_scores_by_hand(name: str, errors: list[float], mean_score: float) -> None:
    task, outputs, targets = TASKS[name], OUTPUTS_OF[name], TARGETS_OF[name]
    assert task.errors(outputs, targets).tolist() == pytest.approx(errors)
    assert task.mean_score(outputs, targets) == pytest.approx(mean_score)


def test_what_an_example_is_described_as() -> None:
    said = {
        name: [
            TASKS[name].describe(OUTPUTS_OF[name][i], TARGETS_OF[name][i], ("a", "b"))
            for i in (1, 2)
        ]
        for name in TASKS
    }
    assert said == {
        "classification": ["b (right)", "a (it is b)"],
        "multilabel": ["wrong: b", "all right"],
        "regression": [
            "steering +0.00 (driver: +0.50), throttle +1.00 (driver: +1.00)",
            "steering -0.50 (driver: -0.50), throttle +1.00 (driver: +0.00)",
        ],
    }


def test_each_kind_of_data_has_one_default() -> None:
    named = {kind: [task.name for task in tasks_for(kind)] for kind in DATA_KINDS}
    assert named == {
        "classes": ["classification"],
        "attributes": ["multilabel"],
        "driving": ["regression", "classification"],
    }
    assert "did you mean 'regression'?" in complaint(lambda: task_named("regresion"))


def test_headings_are_those_of_the_tables() -> None:
    names = ("top_1", "top_5", "ece", "accuracy", "worst_task", "steering_mae", "throttle_rmse")
    assert [column_of(name).heading for name in names] == [
        "top-1, %",
        "top-5, %",
        "ECE",
        "accuracy, %",
        "worst task, %",
        "steering MAE",
        "throttle RMSE",
    ]


# Files of before


@pytest.mark.parametrize(("name", "old"), OLD_NAMES.items())
def test_a_recipe_that_says_answers_still_loads(name: str, old: str) -> None:
    table = VisionNetworkTable.model_validate({"name": "resnet", "answers": old, "depth": 8})
    assert table.task == name
    assert table.options == {"depth": 8}
    assert "answers" not in table.model_dump()


@pytest.mark.parametrize(("name", "old"), OLD_NAMES.items())
def test_an_outputs_file_that_says_answers_still_loads(name: str, old: str, tmp_path: Path) -> None:
    outputs = Outputs(
        task=TASKS[name],
        names=("a", "b"),
        size=(8, 8),
        n_train=1,
        n_held_out=0,
        train_sha256="0",
    )
    outputs.save(tmp_path)
    plain = json.loads((tmp_path / OUTPUTS).read_text())
    assert plain["task"] == name
    del plain["task"]
    (tmp_path / OUTPUTS).write_text(json.dumps({"answers": old, **plain}))
    assert Outputs.load(tmp_path) == outputs


def test_a_run_of_before_is_opened_and_scored_as_it_was(tmp_path: Path) -> None:
    run, data, _ = small_run(
        tmp_path / "run",
        write_attributes(tmp_path / "set"),
        "network.task=multilabel",
        "train.epochs=1",
        env="celeba",
        agent="multitask_abn",
    )
    train(run, data, resume=False, device="cpu")
    before = evaluate_run(run, device="cpu").as_json()
    for file, new, old in (
        ("recipe.toml", 'task = "multilabel"', 'answers = "tasks"'),
        (OUTPUTS, '"task": "multilabel"', '"answers": "tasks"'),
    ):
        text = (run.path / file).read_text()
        assert new in text
        (run.path / file).write_text(text.replace(new, old))
    again = Run.open(run.path, VisionRunRecipe)
    assert again.recipe == run.recipe
    assert load_network(again).network.task is TASKS["multilabel"]
    assert evaluate_run(again, device="cpu").as_json() == before


def test_an_override_by_the_old_name_is_one_of_the_new() -> None:
    settings = ["network.answers=classes"]
    recipe = make_vision_recipe("driving_log", "driving_abn", 0, settings)
    assert recipe.agent.network.task == "classification"


# A task of one's own


class Brightness(Task):
    """Each class a target of 0 or 1, by least squares: unlike any of the three."""

    name = "brightness"
    unit = "levels"
    data_kinds = ("classes",)
    columns: ClassVar[Mapping[str, Column]] = {"near": Column("near, %", share=True, brief=True)}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, F.one_hot(targets, outputs.shape[1]).float())

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.gather(1, targets[:, None])[:, 0] - 1).abs() < 0.5

    def score(self, name: str, outputs: Tensor, truth: Truth) -> Row:
        share = self.right(outputs, truth.targets).double().mean()
        return Row(name, {"near": Estimate(float(share), None, None)})

    def beside(self, row: Row, outputs: Tensor, intact: Tensor, truth: Truth) -> Row:
        was, now = (self.right(o, truth.targets).double().mean() for o in (intact, outputs))
        return row._replace(difference=Estimate(float(now - was), None, None))

    def describe(self, outputs: Tensor, target: Tensor, names: Sequence[str]) -> str:
        return f"{float(outputs[int(target)]):.1f} of 1"

    def examples(self, frames, maps, outputs, targets, names, shown):
        right = self.right(outputs, targets).tolist()
        for i, target in enumerate(targets.tolist()):
            answer = names[target] if right[i] else "far"
            yield Example(frames[i], maps[i].numpy(), answer, 0.5, names[target])

    def draw(self, examples, title, scale):
        return draw_sheet(examples, title, scale)


def test_a_task_of_ones_own_is_trained_scored_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "brightness", Brightness())  # type: ignore[arg-type]
    run, data, _ = small_run(
        tmp_path / "run",
        write_classes(tmp_path / "set"),
        "network.task=brightness",
        "train.epochs=1",
        env="image_folder",
    )
    numbers = train(run, data, resume=False, device="cpu").numbers
    assert numbers["train/loss"] == pytest.approx(
        numbers["train/perception_loss"] + numbers["train/branch_loss"]
    )
    assert 0 <= numbers["held_out/branch_accuracy"] <= 1
    result = evaluate_run(run, device="cpu", interventions=["zero"])
    assert [row.name for row in result.rows] == [
        "perception branch",
        "attention branch",
        "maps zero",
    ]
    for width, n_tables in ((200, 1), (30, 2)):
        tables = vision_tables(result, Console(width=width))
        headings = [str(column.header) for table in tables for column in table.columns]
        assert len(tables) == n_tables, headings
        assert headings.count("answers of") == n_tables
        assert "near, %" in headings
    assert "reliability" not in result.extra
    assert "--samples, got one of levels" in complaint(
        lambda: evaluate_run(run, device="cpu", samples=2)
    )
    recorded = record_run(run, device="cpu")
    assert cv2.imread(str(recorded.path)) is not None
    begun = write_examples(run, 2, device="cpu")
    assert " of 1\n" in (begun.folder / "edits.toml").read_text()


def test_no_module_but_the_tasks_compares_a_tasks_name() -> None:
    package = Path(rl_abn.__file__).parent
    files = [
        file
        for room in ("vision", "cli/vision", "recipes")
        for file in (package / room).rglob("*.py")
        if file.parent != package / "vision" / "tasks"
    ]
    assert len(files) > 60
    compared = [
        f"{file}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in TASKS
    ]
    assert compared == []
