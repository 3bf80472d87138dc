"""The gate on made features of proposals; with torchvision, a whole detector from a recipe."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rl_abn.recipes import make_vision_recipe
from rl_abn.vision.detection.proposals import attend_proposals, make_branch
from rl_abn.vision.detection.shapes import write_shapes
from rl_abn.vision.training.kinds import kind_of
from tests.complaints import complaint
from tests.vision.detection.small_detectors import SMALL, needs_torchvision, small_run


class Heads(nn.Module):
    """Logits are the means of two channels' features."""

    def forward(self, features):
        means = features.mean(dim=(2, 3))
        return means, means.repeat(1, 4)


def test_the_gate_is_one_plus_the_map():
    torch.manual_seed(0)
    branch = make_branch(2, 1, 1, "residual", {}).eval()
    features = torch.rand(5, 2, 7, 7)
    plain = features.mean(dim=(2, 3))

    def ask(override=None):
        return attend_proposals(features, branch, nn.Identity(), Heads(), override)

    own = ask()
    assert own.map.shape == (5, 1, 7, 7)
    assert own.branch_logits.shape == (5, 2)
    assert torch.allclose(own.logits, ((1 + own.map) * features).mean(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(ask(torch.zeros(())).logits, plain)
    assert torch.allclose(ask(torch.ones(())).logits, 2 * plain)
    assert torch.equal(ask(lambda maps: maps).logits, own.logits)


def test_the_baseline_changes_nothing_and_has_no_answer():
    features = torch.rand(3, 2, 7, 7)
    branch = make_branch(2, 1, 1, "none", {})
    said = attend_proposals(features, branch, nn.Identity(), Heads())
    assert torch.equal(said.logits, features.mean(dim=(2, 3)))
    assert said.branch_logits is None
    assert said.map.shape[1] == 0
    with pytest.raises(ValueError, match="with attention"):
        attend_proposals(features, branch, nn.Identity(), Heads(), torch.zeros(()))


def test_the_branch_learns_from_its_own_answer():
    branch = make_branch(2, 1, 1, "residual", {})
    said = attend_proposals(torch.rand(4, 2, 7, 7), branch, nn.Identity(), Heads())
    loss = nn.functional.cross_entropy(said.branch_logits, torch.tensor([0, 1, 0, 1]))
    (loss + said.logits.square().sum()).backward()
    assert all(p.grad is not None for p in branch.parameters())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("network.chanels=3", "did you mean 'channels'"),
        ("network.anchors=[3,4]", "expected 5 sides"),
        ("network.pretrained=coko", "did you mean 'coco'"),
        ("network.pretrained=coco", "expected architecture, channels and hidden"),
        ("network.dropout=0.3", "expected 0.0 for a detector"),
        ("train.precision=bf16", "expected 'fp32' for a detector"),
        ("attention.mechanism=hard_glimpses", "samples nothing"),
    ],
)
def test_a_wrong_recipe_gets_one_line(setting, words):
    def check():
        recipe = make_vision_recipe("shapes_detection", "fasterrcnn_small_abn", 0, [setting])
        kind_of(recipe).check_recipe(recipe)

    assert words in complaint(check)


def test_detectors_want_boxes_and_boxes_want_detectors():
    for env, agent, words in (
        ("cifar10", "fasterrcnn_abn", "expected data with boxes"),
        ("coco_detection", "resnet20_abn", "expected a detector, such as fasterrcnn_abn"),
    ):
        recipe = make_vision_recipe(env, agent, 0, [])
        assert words in complaint(lambda recipe=recipe: kind_of(recipe))


@needs_torchvision
def test_a_detector_resumes_to_the_same_bytes_and_is_scored(tmp_path):
    from rl_abn.vision.detection.build import load_detector
    from rl_abn.vision.detection.evaluate import evaluate_detector

    write_shapes(tmp_path / "data", 4, seed=1)
    whole = small_run(tmp_path / "whole", tmp_path / "data", 2)
    small_run(tmp_path / "cut", tmp_path / "data", 1)
    cut = small_run(tmp_path / "cut", tmp_path / "data", 2, on_exists="resume")
    weights = [(run.checkpoint().path / "policy.safetensors").read_bytes() for run in (whole, cut)]
    assert weights[0] == weights[1]
    result = evaluate_detector(whole, interventions=["zero"], device="cpu")
    assert [row.name for row in result.rows] == [
        "perception branch",
        "attention branch",
        "maps zero",
    ]
    assert 0 <= result.rows[0].numbers["ap"].value <= 1
    assert set(result.extra["visible_mass"]) == {"map", "grad_cam"}
    cpu = torch.device("cpu")
    found = load_detector(whole, device=cpu).detector.detect([torch.rand(3, 64, 80)])[0]
    assert found.maps.shape == (len(found.boxes), 1, 7, 7)


@needs_torchvision
def test_the_baseline_begins_with_the_same_weights(tmp_path):
    from rl_abn.vision.detection.build import make_detector
    from rl_abn.vision.detection.categories import Categories

    categories = Categories(names=("a",), n_train=1, n_held_out=0, train_sha256="x")
    states = []
    for agent in ("fasterrcnn_small_abn", "fasterrcnn_small"):
        recipe = make_vision_recipe("shapes_detection", agent, 0, SMALL)
        detector = make_detector(recipe, categories, torch.device("cpu"), 7)
        states.append(detector.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@needs_torchvision
@pytest.mark.parametrize(("weights", "epsilon"), [("coco", 0.0), ("backbone", 1e-5)])
def test_cocos_weights_are_normalised_as_torchvision_does_it(weights, epsilon):
    from rl_abn.vision.detection.build import boxes_of
    from rl_abn.vision.detection.faster_rcnn import make_faster_rcnn
    from rl_abn.vision.detection.settings import DetectorSettings

    shown = boxes_of(make_vision_recipe("coco_detection", "fasterrcnn_abn", 0, []))
    settings = DetectorSettings(pretrained=weights)
    model = make_faster_rcnn(settings, 2, shown, pretrained=False)  # as a checkpoint's is made
    norms = [of for of in model.modules() if type(of).__name__ == "FrozenBatchNorm2d"]
    assert len(norms) == 53
    assert {of.eps for of in norms} == {epsilon}
