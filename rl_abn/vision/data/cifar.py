"""CIFAR-10 and CIFAR-100 in their binary version: records of labels and 32×32 pictures."""

from __future__ import annotations

import re

import numpy as np
import torch

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.store import join
from rl_abn.vision.data.source import Listing, Source

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_MOST_BYTES = 512 * 2**20
_FILES = re.compile(r"batches\.meta\.txt|fine_label_names\.txt|(data_batch_\d|test_batch)\.bin")


class CifarBinary(Source):
    """The files of cifar-10-binary.tar.gz or cifar-100-binary.tar.gz.

    CIFAR-100's classes are the hundred fine ones. The Python version is not read: it is pickles.
    """

    @staticmethod
    def fits(files: list[str]) -> bool:
        """Says whether files are CIFAR's."""
        return any(map(_FILES.fullmatch, files))

    def splits(self) -> tuple[str, ...]:
        """Returns the splits whose files there are."""
        return tuple(split for split in ("train", "test") if self._has_any(split))

    def listing(self, split: str) -> Listing:
        """Reads the pictures of a split."""
        class_names = self._class_names()
        parts = [self._read(file, len(class_names)) for file in self._files(split)]
        pixels = np.concatenate([pixels for _, pixels in parts])
        targets = np.concatenate([targets for targets, _ in parts])
        names = tuple(
            f"{file}#{i}"
            for file, (labels, _) in zip(self._files(split), parts, strict=True)
            for i in range(len(labels))
        )
        return Listing(names, torch.from_numpy(targets), class_names, pixels)

    @property
    def _is_cifar100(self) -> bool:
        return self.store.has(join(self.root, "fine_label_names.txt"))

    def _files(self, split: str) -> list[str]:
        if self._is_cifar100:
            return [join(self.root, f"{split}.bin")]
        if split == "test":
            return [join(self.root, "test_batch.bin")]
        return [join(self.root, f"data_batch_{i}.bin") for i in range(1, 6)]

    def _has_any(self, split: str) -> bool:
        return any(map(self.store.has, self._files(split)))

    def _class_names(self) -> tuple[str, ...]:
        file = "fine_label_names.txt" if self._is_cifar100 else "batches.meta.txt"
        name = join(self.root, file)
        text = self.store.read(name, 2**16).decode("utf-8", "replace")
        names = tuple(printable(line.strip()) for line in text.splitlines() if line.strip())
        if not 2 <= len(names) <= 256:
            raise RlAbnError(
                f"{self.store.place(name)}: expected 2 to 256 class names, got {len(names)}"
            )
        return names

    def _read(self, name: str, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a file's labels, int64 [N], and pictures, uint8 [N, 32, 32, 3]."""
        place = self.store.place(name)
        if not self.store.has(name):
            raise RlAbnError(f"{place}: expected CIFAR's file of that name, got none")
        data = np.frombuffer(self.store.read(name, _MOST_BYTES), np.uint8)
        n_labels = 2 if self._is_cifar100 else 1  # CIFAR-100's first is the coarse one
        record = n_labels + _PIXELS
        if not len(data) or len(data) % record:
            raise RlAbnError(
                f"{place}: expected records of {record:,} bytes, got {len(data):,} bytes: "
                + ("the file is cut off" if len(data) else "the file is empty")
            )
        records = data.reshape(-1, record)
        labels = records[:, n_labels - 1].astype(np.int64)
        if labels.max() >= n_classes:
            raise RlAbnError(
                f"{place}: expected labels of 0 to {n_classes - 1}, got {labels.max()} "
                f"in record {labels.argmax()}"
            )
        planes = records[:, n_labels:].reshape(-1, 3, _SIDE, _SIDE)
        return labels, np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
