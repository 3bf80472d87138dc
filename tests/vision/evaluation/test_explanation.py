"""Networks of both kinds are explained: those that classify and those that drive."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.estimates import Estimate
from rl_abn.explain.methods import Effort
from rl_abn.explain.study import Thoroughness
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Run
from rl_abn.vision.evaluation.explained_network import network_subject, own_maps
from rl_abn.vision.evaluation.explanation import explain_network
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from rl_abn.vision.evaluation.explanation_parts import share_lost
from rl_abn.vision.training.build import load_network
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.train import train
from tests.vision.tiny_sets import small_run, write_classes, write_drive

TINY = VisionExtent(
    6, ("uniform", "zero"), Thoroughness(("blur",), 2, 8, Effort(2, 2, 8), 4, 1, 2), quick=True
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Run[VisionRunRecipe]:
    folder = tmp_path_factory.mktemp("classes")
    made, data, _ = small_run(folder / "run", write_classes(folder / "set"), "train.epochs=1")
    train(made, data, resume=False, device="cpu")
    return Run.open(made.path, VisionRunRecipe)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Run[VisionRunRecipe]:
    folder = tmp_path_factory.mktemp("drive")
    made, data, _ = prepare_run(
        env="car_racing",
        agent="driving_abn",
        seed=0,
        data=write_drive(folder / "drive"),
        settings=["train.epochs=1", "pictures.rows=[0,64]", "folds.k=3", "folds.margin=0"],
        folder=folder / "run",
    )
    train(made, data, resume=False, device="cpu")
    return Run.open(made.path, VisionRunRecipe)


@pytest.mark.more
def test_a_classifier_is_explained(classifier: Run[VisionRunRecipe], tmp_path: Path) -> None:
    page, data, explanation = explain_network(classifier, TINY, out=tmp_path, device="cpu")
    assert page.read_text("utf-8").startswith("<!doctype html>")
    found = json.loads(data.read_text())
    assert found["scores"]["metric"] == "top_1"
    assert found["used"].keys() == {"uniform", "zero"}
    assert found["pictures_change"]["response"] == "kl"
    assert {"evidence", "cam", "grad_cam", "sarfa"} <= found["maps"]["scores"].keys()
    assert "motion" not in found["maps"]["scores"]
    assert explanation.certificate.lines[0].question == "used"
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()}
    again, _, _ = explain_network(classifier, TINY, out=tmp_path, device="cpu")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()} == kept
    assert again.read_bytes() == page.read_bytes()


@pytest.mark.full
def test_a_driver_is_explained(driver: Run[VisionRunRecipe], tmp_path: Path) -> None:
    _, data, _ = explain_network(driver, TINY, out=tmp_path, device="cpu")
    found = json.loads(data.read_text())
    assert found["pictures_change"]["response"] == "value"
    assert found["maps"]["response"] == "value"
    assert not {"sarfa", "cam"} & found["maps"]["scores"].keys()  # a driver has no choices
    assert {"occlusion", "grad_cam"} <= found["maps"]["scores"].keys()


def test_the_subject_is_the_network(classifier: Run[VisionRunRecipe]) -> None:
    network = load_network(classifier, device=torch.device("cpu")).network
    images = torch.randn(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    subject = network_subject(network, images)
    with torch.no_grad():
        own = network.attend(images)
    answer = subject.answers()
    torch.testing.assert_close(answer.logits, own.outputs)
    torch.testing.assert_close(own_maps(subject)["map"](subject), own.map[:, 0])
    assert subject.grid == tuple(own.map.shape[2:])
    # Class activation maps, averaged, are the logits but for the bias.
    maps = subject.cam(images, torch.arange(5))
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + network.head.bias, own.outputs)


def test_a_larger_error_is_a_loss() -> None:
    found = share_lost(Estimate(0.1, 0.05, 0.2), 0.2, is_error=True)
    np.testing.assert_allclose(found, (-0.5, -1.0, -0.25))
    found = share_lost(Estimate(-0.1, -0.2, -0.05), 0.5, is_error=False)
    np.testing.assert_allclose(found, (-0.2, -0.4, -0.1))
