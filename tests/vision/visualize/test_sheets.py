"""The sheet of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.render.sheet import draw_sheet
from rl_abn.render.task_sheet import draw_task_sheet
from rl_abn.vision.data import HeldPictures
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.models import build_model
from rl_abn.vision.tasks import classification, multilabel
from rl_abn.vision.visualize.sheets import picture_sheet

PREPARE = partial(normalise, statistics="half")


def classifier():
    torch.manual_seed(0)
    return build_model("resnet", n_outputs=3, depth=8)


def sheet(path: Path, targets: torch.Tensor, n: int = 6, network=None) -> int:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (len(targets), 32, 32, 3), generator=rng).to(torch.uint8)
    return picture_sheet(
        path,
        network or classifier(),
        HeldPictures(pixels),
        targets,
        ["a", "b", "c"],
        n,
        prepare=PREPARE,
        title="Pictures",
    )


def test_half_of_a_sheet_is_wrong_where_it_can_be(tmp_path: Path) -> None:
    network = classifier().eval()
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (40, 32, 32, 3), generator=rng).to(torch.uint8)
    with torch.no_grad():
        answers = network.attend(PREPARE(pixels.permute(0, 3, 1, 2))).outputs.argmax(1)
    other = (answers + 1) % 3
    mixed = torch.where(torch.arange(40) < 20, answers, other)
    path = tmp_path / "new" / "sheet.png"
    assert [sheet(path, t) for t in (mixed, answers, other)] == [3, 0, 6]
    mostly = torch.where(torch.arange(40) < 1, other, answers)
    assert sheet(path, mostly) == 1
    assert cv2.imread(str(path)).shape[1] > 420


def test_no_more_is_looked_at_than_is_shown(tmp_path: Path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(
        classification,
        "draw_sheet",
        lambda *a: (drawn.append(a[0]), draw_sheet(*a))[1],
    )
    network = classifier().eval()
    asked = []
    real = network.attend
    monkeypatch.setattr(network, "attend", lambda *a: (asked.append(len(a[0])), real(*a))[1])
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (200, 32, 32, 3), generator=rng).to(torch.uint8)
    targets = torch.randint(3, (200,), generator=rng)
    sheet(tmp_path / "a.png", targets, 6, network)
    assert asked == [32]
    # The first of each kind in the order that was drawn: those that looking at all would give.
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = real(PREPARE(pixels.permute(0, 3, 1, 2))).outputs.argmax(1)
    right = (answers == targets)[order]
    wanted = torch.cat([order[right][:3], order[~right][:3]])
    for example, number in zip(drawn[0], wanted.tolist(), strict=True):
        assert np.array_equal(example.frame, pixels[number])
        assert example.target == "abc"[int(targets[number])]


def test_what_has_no_sheet_is_told(tmp_path: Path) -> None:
    targets = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(RlAbnError, match=r"ends in \.png"):
        sheet(tmp_path / "a.jpg", targets)
    with pytest.raises(RlAbnError, match="1 picture or more"):
        sheet(tmp_path / "a.png", targets, n=0)
    driver = build_model("driving_abn", n_outputs=2, size=(66, 80))
    with pytest.raises(RlAbnError, match="right or wrong about a picture, got one of 2 controls"):
        sheet(tmp_path / "a.png", targets, network=driver)
    (tmp_path / "file").write_text("")
    with pytest.raises(RlAbnError, match="cannot be written"):
        sheet(tmp_path / "file" / "a.png", targets)


NAMES = ["Red", "Round", "Old", "New"]


def answers_tasks(mechanism: str = "residual"):
    torch.manual_seed(0)
    options = {"mechanism": mechanism, "task": "multilabel", "depth": 8}
    return build_model("resnet", n_outputs=len(NAMES), **options)


def faces(n: int = 40) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 32, 32, 3), generator=rng).to(torch.uint8)


def tasks_sheet(path: Path, network, targets: torch.Tensor, tasks=(2, 0), n: int = 6) -> int:
    pictures = HeldPictures(faces(len(targets)))
    options = {"shown": tasks, "prepare": PREPARE, "title": "Tasks"}
    return picture_sheet(path, network, pictures, targets, NAMES, n, **options)


@pytest.mark.parametrize("mechanism", ["residual", "none"])
def test_each_task_is_shown_with_its_own_map_and_answer(
    tmp_path: Path, monkeypatch, mechanism: str
) -> None:
    drawn = []
    monkeypatch.setattr(
        multilabel, "draw_task_sheet", lambda *a: (drawn.extend(a[0]), draw_task_sheet(*a))[1]
    )
    network = answers_tasks(mechanism).train()
    targets = (torch.arange(160).reshape(40, 4) % 3 == 0).float()
    tasks_sheet(tmp_path / "a.png", network, targets)
    assert network.training
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    with torch.no_grad():
        said = network.eval().attend(PREPARE(faces().permute(0, 3, 1, 2)))
    numbers = {picture.numpy().tobytes(): i for i, picture in enumerate(faces())}
    for example in drawn:
        i = numbers[example.frame.tobytes()]
        assert [answer.task for answer in example.answers] == ["Old", "Red"]
        for answer, task in zip(example.answers, (2, 0), strict=True):
            yes = float(said.outputs[i, task].sigmoid())
            assert answer.says is (yes > 0.5)
            assert answer.probability == pytest.approx(max(yes, 1 - yes), abs=1e-5)
            assert answer.target is bool(targets[i, task])
        if mechanism == "none":
            assert len(example.maps) == 0
        else:
            np.testing.assert_allclose(example.maps, said.map[i, [2, 0]], atol=1e-5)
    assert len(drawn) == 6


def test_half_of_the_pictures_have_a_wrong_answer_to_what_is_shown(tmp_path: Path) -> None:
    network = answers_tasks().eval()
    with torch.no_grad():
        right = (network.attend(PREPARE(faces().permute(0, 3, 1, 2))).outputs > 0).float()
    path = tmp_path / "new" / "sheet.png"
    assert tasks_sheet(path, network, right) == 0
    other = right.clone()
    other[:, 1] = 1 - other[:, 1]
    assert tasks_sheet(path, network, other) == 0  # wrong in a task that is not shown
    assert tasks_sheet(path, network, other, tasks=(0, 1)) == 6
    other[:20, 1] = right[:20, 1]
    assert tasks_sheet(path, network, other, tasks=(0, 1)) == 3


def test_what_has_no_sheet_of_tasks_is_told(tmp_path: Path) -> None:
    with pytest.raises(RlAbnError, match="names of 3 classes, got 4"):
        tasks_sheet(tmp_path / "a.png", classifier(), torch.zeros(4, 4))
    with pytest.raises(RlAbnError, match=r"ends in \.png"):
        tasks_sheet(tmp_path / "a.mp4", answers_tasks(), torch.zeros(4, 4))
