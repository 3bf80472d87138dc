"""A detector is explained: its objects, where maps lie on what can be seen, and the whole page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from rl_abn.explain.methods import Effort, possible
from rl_abn.explain.study import Thoroughness, study
from rl_abn.files.parts import Part, Parts
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.explanation_parts import (
    OWN,
    choose_objects,
    fixed_objects,
    scores_of,
)
from rl_abn.vision.detection.layouts import read_split
from rl_abn.vision.detection.objects import ProposalHeads, heads_subject
from rl_abn.vision.detection.proposals import make_branch
from rl_abn.vision.detection.shapes import write_shapes
from rl_abn.vision.detection.visible_findings import (
    visible_blocks,
    visible_found,
    visible_line,
)
from rl_abn.vision.detection.visible_parts import ANOTHER, EVEN, GRAD_CAM, MAP, VisibleShares
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from tests.complaints import complaint
from tests.vision.detection.small_detectors import needs_torchvision, small_run

CPU = torch.device("cpu")
HOW = Thoroughness(("blur",), 2, 8, Effort(2, 2, 8), 4, 1, 2)
TINY = VisionExtent(4, ("uniform", "zero"), HOW, quick=True)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


class Predictor(nn.Module):
    def __init__(self):
        super().__init__()
        self.category, self.box = nn.Linear(4, 3), nn.Linear(4, 12)

    def forward(self, features):
        return self.category(features), self.box(features)


def heads(mechanism="residual"):
    """Heads of two categories on four channels, as a detector has them."""
    torch.manual_seed(0)
    detector = nn.Module()
    detector.branch = make_branch(4, 2, 1, mechanism, {})
    detector.model = nn.Module()
    detector.model.roi_heads = nn.Module()
    detector.model.roi_heads.box_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    detector.model.roi_heads.box_predictor = Predictor()
    return ProposalHeads(detector).eval()


def test_the_subject_is_what_the_heads_say():
    made, features = heads(), torch.rand(5, 4, 7, 7)
    with torch.no_grad():
        said = made(features)
    subject = heads_subject(made, features)
    answer = subject.answers()
    assert torch.equal(answer.logits, said.logits)
    assert torch.equal(subject.own_map(), said.map[:, 0])
    # The branch's answer is the mean of its evidence.
    assert torch.allclose(answer.evidence.mean(dim=(2, 3)), said.branch_logits, atol=1e-5)
    assert {"evidence", "grad_cam", "occlusion", "centre"} <= set(possible(subject, answer))
    assert "motion" not in possible(subject, answer)


def test_the_baseline_is_a_subject_without_maps(tmp_path):
    subject = heads_subject(heads("none"), torch.rand(4, 4, 7, 7))
    answer = subject.answers()
    assert answer.maps is None
    assert answer.evidence is None
    tested = study(Parts(tmp_path, {}), subject, {}, HOW)
    assert tested.primary == "grad_cam"


def test_new_weights_leave_the_detectors_alone(tmp_path):
    made = heads()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    subject = heads_subject(made, torch.rand(4, 4, 7, 7))
    each = replace(HOW, most_layers=99)
    tested = study(Parts(tmp_path, {}), subject, {MAP: lambda s: s.own_map()}, each)
    assert tested.primary == MAP
    layers = tested.randomisation[MAP].layers
    assert layers[:2] == ("predictor.box", "predictor.category")
    assert layers[-1].startswith("branch.")
    # What comes after the branch says nothing of its map.
    assert tested.randomisation[MAP].similarity[1] == pytest.approx(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())


def test_answers_to_fixed_objects_change_with_their_maps():
    made = heads()
    subject = heads_subject(made, torch.rand(6, 4, 7, 7))
    changed = fixed_objects(made, subject, ("uniform", "zero"), 0).arrays
    with torch.no_grad():
        own, now = made(subject.images).logits, made(subject.images, torch.zeros(())).logits
    p, q = own.double().log_softmax(1), now.double().log_softmax(1)
    np.testing.assert_allclose(changed["zero|kl"], (p.exp() * (p - q)).sum(1), atol=1e-9)
    assert changed.keys() == {f"{n}|{r}" for n in ("uniform", "zero") for r in ("log_odds", "kl")}


def test_one_object_of_a_picture_is_tested(tmp_path):
    write_shapes(tmp_path / "data", 8, seed=1)
    examples = BoxedExamples(read_split(tmp_path / "data", "train"), CPU)
    asked = choose_objects(examples, 5)
    assert len(set(asked.pictures.tolist())) == 5
    for number, box, visible, label in zip(*asked, strict=True):
        picture = examples.boxed.pictures[number]
        which = [i for i, other in enumerate(picture.boxes) if np.array_equal(box, other)]
        assert np.array_equal(picture.visible[which[0]], visible)
        assert picture.labels[which[0]] == label
    assert list(asked.by_picture(2)) == asked.pictures[:2].tolist()
    assert len(choose_objects(examples, 100).pictures) == 8
    alone = BoxedExamples(examples.boxed.chosen([0]), CPU)
    assert "2 pictures with objects or more" in complaint(lambda: choose_objects(alone, 5))


def test_differences_of_ap_are_paired():
    own = Part({"ap": 0.5}, {"drawn": np.array([0.4, 0.5, 0.6])})
    less = Part({"ap": 0.4}, {"drawn": np.array([0.3, 0.4, 0.5])})
    scores = scores_of({OWN: own, "uniform": less}, 7)
    assert (scores["metric"], scores["n"]) == ("AP", 7)
    np.testing.assert_allclose(scores["rows"]["uniform"]["difference"], [-0.1] * 3)
    assert list(scores["rows"]) == ["uniform"]


def filled(map_share, another):
    """Shares of 24 objects in 12 pictures whose means are those given."""
    noise = 0.01 * np.random.default_rng(0).normal(size=24)
    shares = {MAP: map_share + noise - noise.mean()}
    shares |= {ANOTHER: np.full(24, another), GRAD_CAM: np.full(24, 0.5), EVEN: np.full(24, 0.5)}
    return visible_found(VisibleShares(shares, np.arange(24) // 2), MAP)


@pytest.mark.parametrize(
    ("share", "another", "verdict"),
    [(0.6, 0.5, "yes"), (0.6, 0.6, "partly"), (0.5, 0.5, "no"), (0.4, 0.5, "no")],
)
def test_the_line_says_whether_a_map_follows_what_is_visible(share, another, verdict):
    found = filled(share, another)
    line = visible_line(found, MAP)
    assert (line.question, line.verdict) == ("objects", verdict)
    assert "Of 24 objects" in line.text
    assert f" {100 * share:.0f}% [" in line.text
    assert found.above[EVEN].value == pytest.approx(share - 0.5)
    assert "beside Grad-CAM" in line.text
    table, chart = visible_blocks(found, MAP)
    assert [name for name, _ in table.rows] == ["map", "even", "another object's map", "grad cam"]
    assert len(chart.rows) == 3


def test_nothing_covered_is_not_asked():
    nothing = visible_found(VisibleShares({}, np.zeros(0, np.int64)), MAP)
    assert nothing is None
    assert visible_line(nothing, MAP).verdict == "not asked"
    assert visible_blocks(nothing, MAP) == []
    few = VisibleShares({MAP: np.ones(2), EVEN: np.full(2, 0.5)}, np.arange(2))
    assert visible_line(visible_found(few, MAP), MAP).verdict == "unclear"


@needs_torchvision
@pytest.mark.parametrize("agent", ["fasterrcnn_small_abn", "fasterrcnn_small"])
def test_a_detector_is_explained(tmp_path, agent):
    from rl_abn.vision.detection.explanation import explain_detector

    write_shapes(tmp_path / "data", 10, seed=1)
    run = small_run(tmp_path / "run", tmp_path / "data", 1, agent)
    page, data, explanation = explain_detector(run, TINY, out=tmp_path / "out", device="cpu")
    assert page.read_text("utf-8").startswith("<!doctype html>")
    found = json.loads(data.read_text())
    lines = {line.question: line for line in explanation.certificate.lines}
    assert list(lines) == ["used", "right", "better", "objects", "sane"]
    assert found["scores"]["metric"] == "AP"
    assert {"evidence", "grad_cam", "centre"} - found["maps"]["scores"].keys() <= {"evidence"}
    if agent == "fasterrcnn_small":
        assert lines["used"].verdict == "not asked"
        assert found["used"] == {}
        assert found["maps"]["map"] == "grad_cam"
    else:
        assert found["used"].keys() == {"uniform", "zero"}
        assert found["pictures_change"].keys() == {"response", "uniform", "zero"}
        assert found["maps"]["map"] == "map"
        assert set(found["visible_mass"]["above"]) == {EVEN, ANOTHER, GRAD_CAM}
        assert "moment" not in " ".join(line.text for line in lines.values())
    assert found["maps"]["sanity"]["grad_cam"].keys() >= {"one pixel", "noise"}
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "parts").iterdir()}
    again, _, _ = explain_detector(run, TINY, out=tmp_path / "out", device="cpu")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "parts").iterdir()} == kept
    assert again.read_bytes() == page.read_bytes()


@needs_torchvision
def test_other_pixels_of_the_same_names_and_boxes_are_explained_anew(tmp_path):
    from rl_abn.vision.detection.explanation import explain_detector

    write_shapes(tmp_path / "data", 4, seed=1)
    run = small_run(tmp_path / "run", tmp_path / "data", 1)
    few = TINY._replace(interventions=("zero",))
    explain_detector(run, few, out=tmp_path / "out", device="cpu")
    kept = {p: p.read_bytes() for p in (tmp_path / "out" / "parts").iterdir()}
    fogged = shutil.copytree(tmp_path / "data", tmp_path / "fogged")
    for picture in (fogged / "test").iterdir():
        cv2.imwrite(str(picture), cv2.imread(str(picture)) // 2 + 100)
    explain_detector(run, few, data=fogged, out=tmp_path / "out", device="cpu")
    assert all(path.read_bytes() != before for path, before in kept.items())
