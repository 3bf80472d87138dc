"""The sheet of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.record.sheet import draw_sheet
from rl_abn.vision import sheets
from rl_abn.vision.augment import normalise
from rl_abn.vision.data import HeldPictures
from rl_abn.vision.models import build_model
from rl_abn.vision.sheets import picture_sheet

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
        sheets,
        "draw_sheet",
        lambda shown, title: (drawn.append(shown), draw_sheet(shown, title))[1],
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
    with pytest.raises(RlAbnError, match="3 classes, got one of 2 controls"):
        sheet(tmp_path / "a.png", targets, network=driver)
    (tmp_path / "file").write_text("")
    with pytest.raises(RlAbnError, match="cannot be written"):
        sheet(tmp_path / "file" / "a.png", targets)
