"""CIFAR's binary version, in files of a few records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.vision.data import open_labelled, splits_of
from tests.complaints import complaint

NAMES = ("airplane", "automobile", "bird")


def records(labels: list[list[int]], seed: int) -> tuple[bytes, np.ndarray]:
    """Records as the files have them, and their pictures [N, 3, 32, 32]."""
    pictures = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    rows = [bytes(label) + plane.tobytes() for label, plane in zip(labels, pictures, strict=True)]
    return b"".join(rows), pictures


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(records([[i % 3], [0]], i)[0])
    (folder / "test_batch.bin").write_bytes(records([[2], [1], [0]], 6)[0])
    return folder


def test_cifar10(cifar10: Path) -> None:
    assert splits_of(cifar10) == ("train", "test")
    train = open_labelled(cifar10.parent)
    assert train.class_names == NAMES
    assert train.targets.tolist() == [1, 0, 2, 0, 0, 0, 1, 0, 2, 0]
    assert train.names[3] == "cifar-10-batches-bin/data_batch_2.bin#1"
    test = open_labelled(cifar10, split="test")
    assert test.targets.tolist() == [2, 1, 0]
    shown = test.pictures.read(torch.tensor([1, 2]))
    assert shown.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(shown.numpy(), records([[2], [1], [0]], 6)[1][1:])
    assert open_labelled(cifar10, split="test", size=16).pictures.size == (16, 16)


def test_cifar100_has_the_fine_classes(tmp_path: Path) -> None:
    (tmp_path / "fine_label_names.txt").write_text("apple\nbaby\nbear\n")
    (tmp_path / "coarse_label_names.txt").write_text("fruit\npeople\n")
    data, pictures = records([[0, 2], [1, 1]], 0)
    (tmp_path / "train.bin").write_bytes(data)
    train = open_labelled(tmp_path)
    assert train.class_names == ("apple", "baby", "bear")
    assert train.targets.tolist() == [2, 1]
    assert np.array_equal(train.pictures.read(torch.arange(2)).numpy(), pictures)
    message = complaint(lambda: open_labelled(tmp_path, split="test"))
    assert message == f"{tmp_path}: expected a split 'test', got a set with train"


def test_a_cut_off_file(cifar10: Path) -> None:
    path = cifar10 / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert complaint(lambda: open_labelled(cifar10)) == (
        f"{path}: expected records of 3,073 bytes, got 6,145 bytes: the file is cut off"
    )
    path.write_bytes(b"")
    assert complaint(lambda: open_labelled(cifar10)).endswith("the file is empty")
    path.unlink()
    assert complaint(lambda: open_labelled(cifar10)) == (
        f"{path}: expected CIFAR's file of that name, got none"
    )


def test_a_label_without_a_name(cifar10: Path) -> None:
    path = cifar10 / "test_batch.bin"
    path.write_bytes(records([[0], [3]], 0)[0])
    assert complaint(lambda: open_labelled(cifar10, split="test")) == (
        f"{path}: expected labels of 0 to 2, got 3 in record 1"
    )


def test_names_are_needed(cifar10: Path) -> None:
    (cifar10 / "batches.meta.txt").write_text("airplane\n")
    assert "expected 2 to 256 class names, got 1" in complaint(lambda: open_labelled(cifar10))
    (cifar10 / "batches.meta.txt").unlink()
    assert "batches.meta.txt: cannot be read" in complaint(lambda: open_labelled(cifar10))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "batches.meta").write_bytes(b"\x80\x02.")
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02.")
    assert complaint(lambda: open_labelled(tmp_path)) == (
        f"{tmp_path}: expected CIFAR's binary version, got the Python version, "
        "which is pickles and not read"
    )
