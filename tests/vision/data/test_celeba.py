"""Pictures with a table of attributes, laid out as CelebA."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.vision.data import open_labelled, splits_of
from tests.complaints import complaint

TABLE = """5
Bald Smiling Young
000001.png -1  1  1
000002.png  1 -1 -1
000003.png -1 -1  1
000004.png  1  1 -1
000005.png -1  1 -1
"""
VALUES = [[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 0]]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for i in range(1, 6):
        cv2.imwrite(str(folder / f"{i:06}.png"), np.full((6, 4, 3), i, np.uint8))
    (folder.parent / "list_attr_celeba.txt").write_text(TABLE)
    return folder.parent


def test_attributes_are_0_and_1(faces: Path) -> None:
    assert splits_of(faces) == ("train",)
    train = open_labelled(faces)
    assert train.has_attributes
    assert train.class_names == ("Bald", "Smiling", "Young")
    assert train.targets.dtype == torch.float32
    assert train.targets.tolist() == VALUES
    assert train.pictures.read(torch.tensor([4, 0]))[:, 0, 0, 0].tolist() == [5, 1]


def test_the_partition_says_what_is_train(faces: Path) -> None:
    parts = "".join(f"00000{i}.png {p}\n" for i, p in ((1, 0), (2, 2), (3, 0), (4, 0), (5, 2)))
    (faces / "list_eval_partition.txt").write_text(parts)
    assert splits_of(faces) == ("train", "test")
    assert open_labelled(faces).targets.tolist() == [VALUES[0], VALUES[2], VALUES[3]]
    test = open_labelled(faces, split="test")
    assert [name[-5] for name in test.names] == ["2", "5"]
    assert test.pictures.read(torch.arange(2))[:, 0, 0, 0].tolist() == [2, 5]
    (faces / "list_eval_partition.txt").write_text(parts.replace("00003", "00009"))
    message = complaint(lambda: open_labelled(faces))
    assert "expected every picture in the partition, got 1 that are not: 000003.png" in message
    (faces / "list_eval_partition.txt").write_text(parts.replace("png 2", "png 3"))
    assert "0, 1 or 2 in row 2, got '000002.png 3'" in complaint(lambda: splits_of(faces))


def test_the_csv_form_in_folders_of_its_own(faces: Path) -> None:
    (faces / "Anno").mkdir()
    rows = [",".join(line.split()) for line in TABLE.splitlines()[2:]]
    head = "image_id,Bald,Smiling,Young"
    (faces / "Anno" / "list_attr_celeba.csv").write_text("\r\n".join([head, *rows]))
    (faces / "list_attr_celeba.txt").unlink()
    (faces / "list_eval_partition.csv").write_text(
        "image_id,partition\n" + "".join(f"00000{i}.png,{i % 2}\n" for i in range(1, 6))
    )
    (faces / "img_align_celeba").rename(faces / "twice")
    (faces / "img_align_celeba").mkdir()
    (faces / "twice").rename(faces / "img_align_celeba" / "img_align_celeba")
    assert splits_of(faces) == ("train", "val")
    assert open_labelled(faces, split="val").targets.tolist() == VALUES[::2]


def test_rows_without_a_picture(faces: Path) -> None:
    for i in (2, 4):
        (faces / "img_align_celeba" / f"00000{i}.png").unlink()
    assert complaint(lambda: open_labelled(faces)) == (
        f"{faces}/list_attr_celeba.txt: expected a picture for every row, "
        "got 2 rows without one: 000002.png, 000004.png"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.png  1", "2.png  2", "expected 1 or -1 for 'Bald' in row 4, got '2'"),
        ("3.png -1", "3.png x", "expected 1 or -1 for 'Bald' in row 5, got 'x'"),
        ("4.png  1", "4.png", "expected a picture and 3 values in row 6, got 3 cells, "),
        ("000001.png", "one", "expected a picture and 3 values in row 3, got 4 cells, "),
        ("5\n", "7\n", "expected 7 rows as its first line says of attributes, got 5 rows of 3"),
    ],
)
def test_mistakes_in_the_table(faces: Path, old: str, new: str, message: str) -> None:
    (faces / "list_attr_celeba.txt").write_text(TABLE.replace(old, new, 1))
    assert message in complaint(lambda: open_labelled(faces))


def test_a_table_of_nothing(faces: Path) -> None:
    (faces / "list_attr_celeba.txt").write_text("")
    assert "expected rows of attributes, got 0 rows of 0" in complaint(lambda: open_labelled(faces))
    (faces / "list_attr_celeba.txt").write_bytes(b"\xff\xfe\x00")
    assert "expected UTF-8" in complaint(lambda: open_labelled(faces))
