"""What the kinds of labelled sets have in common: splits, and a list of what is in each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.images import is_picture
from rl_abn.files.store import Store, join

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The splits there can be, and what folders of theirs are called."""


class Listing(NamedTuple):
    """What is in a split.

    Attributes:
        names: One a picture: its file's, or a number in a file of many.
        targets: Classes, int64 [N], or attributes, float32 [N, A] of 0 and 1.
        class_names: Of the classes, or of the attributes.
        pixels: uint8 [N, H, W, 3] where the pictures are no files; else None.
    """

    names: tuple[str, ...]
    targets: Tensor
    class_names: tuple[str, ...]
    pixels: np.ndarray | None = None


@dataclass(frozen=True)
class Source(ABC):
    """A kind of labelled set.

    Attributes:
        store: Where it lies.
        root: The folder in there that is the set; "" is all of it.
    """

    store: Store
    root: str

    @property
    def place(self) -> str:
        """How the set is called in a message."""
        return self.store.place(self.root)

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Returns which of train, val and test there are; a set without splits is all train."""

    @abstractmethod
    def listing(self, split: str) -> Listing:
        """Lists what is in a split.

        Raises:
            RlAbnError: If the set is not as its kind has to be.
        """

    def check_split(self, split: str) -> None:
        """Refuses a split that there is not.

        Raises:
            RlAbnError: With the splits there are.
        """
        if split not in SPLITS:
            raise RlAbnError(f"unknown split '{split}': {did_you_mean(split, SPLITS)}")
        if split not in self.splits():
            there = ", ".join(self.splits()) or "none at all"
            raise RlAbnError(f"{self.place}: expected a split '{split}', got a set with {there}")


def descend(store: Store) -> str:
    """Returns the folder in which a set begins: within those that hold one other folder alone."""
    root = ""
    while True:
        folders, files = store.entries(root)
        if len(folders) != 1 or split_of(folders[0]) or any(map(_says_something, files)):
            return root
        inner = join(root, folders[0])
        below = store.entries(inner)
        # A folder of pictures alone is a class.
        if not below.folders and not any(_is_table(file) for file in below.files):
            return root
        root = inner


def split_of(folder: str) -> str | None:
    """Returns which split a folder is called like."""
    return next((split for split, names in SPLITS.items() if folder.lower() in names), None)


def _is_table(file: str) -> bool:
    return file.lower().endswith((".csv", ".bin")) or file.lower().startswith("list_")


def _says_something(file: str) -> bool:
    return is_picture(file) or _is_table(file)
