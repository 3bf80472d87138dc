"""Networks of both kinds are explained: those that classify and those that drive."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from rl_abn.estimates import Estimate
from rl_abn.explain.methods import Effort, Request, make_maps
from rl_abn.explain.rivals.gradient import attention_gradient, grad_cam
from rl_abn.explain.study import Thoroughness
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Run
from rl_abn.vision.data.pictures import PictureFiles
from rl_abn.vision.evaluation import predict as predict_module
from rl_abn.vision.evaluation.explained_network import network_subject, own_maps
from rl_abn.vision.evaluation.explanation import explain_network
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from rl_abn.vision.evaluation.explanation_parts import (
    ExplainedPictures,
    fixed_pictures,
    share_lost,
)
from rl_abn.vision.models import AbnNetwork, build_model
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


def network_of(task: str) -> AbnNetwork:
    torch.manual_seed(0)
    if task == "regression":
        return build_model("driving_abn", n_outputs=2, size=(66, 66)).eval()
    return build_model("resnet", n_outputs=3, depth=8, task=task).eval()


@torch.no_grad()
def opposite(network: AbnNetwork) -> AbnNetwork:
    """The same network, whose answers have the other sign."""
    other = deepcopy(network)
    last = [layer for layer in other.head.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight.neg_()
    last.bias.neg_()
    return other


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_a_left_turn_and_a_no_are_explained_by_what_speaks_for_them(task: str) -> None:
    network = network_of(task)
    side = 66 if task == "regression" else 12
    images = torch.randn(6, 3, side, side, generator=torch.Generator().manual_seed(1))
    speed = torch.zeros(6) if network.takes_speed else None
    one, other = (network_subject(n, images, speed) for n in (network, opposite(network)))
    torch.testing.assert_close(other.answers().value, -one.answers().value)
    for make in (grad_cam, attention_gradient):
        found = make(one, None)
        assert found.abs().max() > 0
        torch.testing.assert_close(make(other, None), found)
    # Other weights are asked the same: here that is what speaks against their own answers.
    rebuilt = one.rebuilt(opposite(network))
    assert torch.equal(rebuilt.answers().sign, one.answers().sign)
    torch.testing.assert_close(attention_gradient(rebuilt, None), -attention_gradient(one, None))


def test_of_many_tasks_the_map_of_the_surest_is_explained() -> None:
    network = network_of("multilabel")
    images = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.head.bias -= network.attend(images).outputs.mean(dim=0)  # not always the same one
        said = network.attend(images)
    subject = network_subject(network, images)
    surest = said.outputs.abs().argmax(dim=1)
    assert len(set(surest.tolist())) > 1
    expected = said.map[torch.arange(6), surest]
    torch.testing.assert_close(own_maps(subject)["map"](subject), expected)
    part = subject.part(torch.tensor([4, 1]))
    torch.testing.assert_close(own_maps(part)["map"](part), expected[[4, 1]])
    # Acting on that map, the answer is the same: it hangs on no other.
    features = subject.features(images, torch.arange(6))
    answer = subject.ask_maps(expected[:, None], features, torch.arange(6))
    torch.testing.assert_close(answer.value, subject.answers().value)


def test_many_tasks_are_asked_about_a_few_pictures_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = network_of("multilabel")
    images = torch.randn(9, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    asked = ExplainedPictures(images, None, np.zeros(0, np.uint8), np.arange(9), 9)
    own = network.attend(images)
    whole = fixed_pictures(network, asked, ("zero", "swap"), 0).arrays
    monkeypatch.setattr(predict_module, "BATCH", 12)  # three tasks, so four pictures
    sizes = []
    extract = network.extract

    def counted(pictures: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pictures))
        return extract(pictures)

    monkeypatch.setattr(network, "extract", counted)
    parts = fixed_pictures(network, asked, ("zero", "swap"), 0).arrays
    subject = network_subject(network, images)
    grad_cam(subject, None)
    request = Request(subject, subject.answers(), images.flip(0), Effort(2, 2, 4))
    make_maps(request, ["integrated_gradients", "rise"])
    assert max(sizes) == 4
    surest = own.outputs.abs().argmax(dim=1)[:, None]
    for name, maps in (("zero", torch.zeros(1)), ("swap", own.map.roll(1, dims=0))):
        now = network.attend(images, map_override=maps).outputs
        lost = (now - own.outputs).gather(1, surest).squeeze(1).abs().detach()
        for arrays in (whole, parts):
            np.testing.assert_allclose(arrays[f"{name}|value"], lost, atol=1e-5)


@pytest.mark.more
def test_other_pictures_are_explained_anew(
    classifier: Run[VisionRunRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other data, or other pictures at the same path; what is kept decodes what is shown alone."""
    data = Path(shutil.copytree(classifier.path.parent / "set", tmp_path / "set"))
    decoded, decode = [], PictureFiles.decode

    def counted(files: PictureFiles, index: int) -> np.ndarray:
        decoded.append(index)
        return decode(files, index)

    monkeypatch.setattr(PictureFiles, "decode", counted)

    def parts(path: Path | None = None) -> dict[str, bytes]:
        decoded.clear()
        explain_network(classifier, TINY, data=path, out=tmp_path / "out", device="cpu")
        return {p.name: p.read_bytes() for p in (tmp_path / "out" / "parts").iterdir()}

    first = parts()
    assert len(decoded) > 30  # test pictures
    assert parts(data) == first  # the same pictures elsewhere
    assert len(decoded) == 1 + TINY.pictures
    for path in (data / "test").rglob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path))[::-1])
    second = parts(data)
    assert {name for name in first if second[name] == first[name]} == set()
    (data / "test" / "red" / "000.png").rename(data / "test" / "blue" / "999.png")
    third = parts(data)
    assert third["scores.npz"] != second["scores.npz"]


def test_a_larger_error_is_a_loss() -> None:
    found = share_lost(Estimate(0.1, 0.05, 0.2), 0.2, is_error=True)
    np.testing.assert_allclose(found, (-0.5, -1.0, -0.25))
    found = share_lost(Estimate(-0.1, -0.2, -0.05), 0.5, is_error=False)
    np.testing.assert_allclose(found, (-0.2, -0.4, -0.1))
