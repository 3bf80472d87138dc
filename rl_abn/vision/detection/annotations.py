"""What is known of the pictures of a detector: boxes, classes, visible parts, ignored regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.images import MOST_BYTES
from rl_abn.files.store import Store
from rl_abn.vision.data.source import SPLITS
from rl_abn.vision.detection.boxes import areas

EVERY_CATEGORY = 0
"""The label of a region that is ignored whatever is found in it."""
_MOST_AREA = float(np.finfo(np.float32).max)


class Picture(NamedTuple):
    """A picture and its objects. Boxes are x1, y1, x2, y2 in its own pixels.

    Attributes:
        name: Its file in the set's store.
        size: Height and width.
        boxes: Of n objects, [n, 4].
        labels: Their categories, 1 to K, [n].
        visible: The box of what can be seen of each; its own where nothing covers it, [n, 4].
        areas: In pixels, [n]: of the box, or what the annotation says.
        ignored: Regions in which nothing found or missed counts, [m, 4].
        ignored_labels: The category each is for, or `EVERY_CATEGORY`, [m].
    """

    name: str
    size: tuple[int, int]
    boxes: Float[np.ndarray, "n 4"]
    labels: Int64[np.ndarray, " n"]
    visible: Float[np.ndarray, "n 4"]
    areas: Float[np.ndarray, " n"]
    ignored: Float[np.ndarray, "m 4"]
    ignored_labels: Int64[np.ndarray, " m"]

    @property
    def visibility(self) -> Float[np.ndarray, " n"]:
        """What share of each object's box can be seen, 0..1."""
        return np.asarray(
            np.minimum(areas(self.visible) / np.maximum(areas(self.boxes), 1e-12), 1.0)
        )


@dataclass(frozen=True, eq=False)
class BoxedSet:
    """A split of a set: N pictures and what is in them.

    Attributes:
        store: Where the files lie.
        pictures: The pictures.
        categories: Names of the categories 1 to K.
        notes: What was got round, a line each.
    """

    store: Store
    pictures: tuple[Picture, ...]
    categories: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def n_objects(self) -> int:
        """How many objects there are."""
        return sum(len(picture.boxes) for picture in self.pictures)

    def chosen(self, numbers: Sequence[int]) -> BoxedSet:
        """Returns some of the pictures."""
        pictures = tuple(self.pictures[i] for i in numbers)
        return BoxedSet(self.store, pictures, self.categories, self.notes)

    def fingerprint(self) -> str:
        """Returns a hash of names, boxes and categories, by which runs know their training set."""
        hashed = sha256("\0".join(self.categories).encode("utf-8", "replace"))
        for picture in self.pictures:
            hashed.update(picture.name.encode("utf-8", "replace") + b"\0")
            for array in (picture.boxes, picture.labels, picture.ignored):
                hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()

    def whole_fingerprint(self) -> str:
        """Returns a hash of all there is: the pictures' files too, and all that is known of them.

        Raises:
            RlAbnError: If a file cannot be read.
        """
        hashed = sha256(self.fingerprint().encode())
        for picture in self.pictures:
            for array in (picture.visible, picture.areas, picture.ignored_labels):
                hashed.update(np.ascontiguousarray(array).tobytes())
            hashed.update(sha256(self.store.read(picture.name, MOST_BYTES)).digest())
        return hashed.hexdigest()


@dataclass(frozen=True)
class Layout(ABC):
    """A way to lay pictures and boxes out on disk.

    Attributes:
        store: Where the set lies.
    """

    store: Store

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Returns which of train, val and test there are."""

    @abstractmethod
    def annotations(self) -> tuple[str, ...]:
        """Returns the names of the files that say what is in the pictures, of all splits."""

    @abstractmethod
    def read(self, split: str) -> BoxedSet:
        """Reads a split.

        Raises:
            RlAbnError: If the set is not as its layout has to be.
        """

    def check_split(self, split: str) -> None:
        """Refuses a split that there is not.

        Raises:
            RlAbnError: With the splits there are.
        """
        if split not in self.splits():
            there = ", ".join(self.splits()) or "none at all"
            hint = did_you_mean(split, SPLITS) if split not in SPLITS else f"there is {there}"
            raise RlAbnError(
                f"{self.store.place('')}: expected a split '{split}', got none: {hint}"
            )


class Boxes:
    """Collects the boxes of one picture, and checks them.

    Args:
        name: The picture's file.
        size: Its height and width.
    """

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        self.name, self.size = name, size
        self.n_cut = self.n_empty = 0
        self._objects: list[tuple[np.ndarray, int, np.ndarray, float]] = []
        self._ignored: list[tuple[np.ndarray, int]] = []

    def add(
        self,
        box: Sequence[float],
        label: int,
        where: str,
        *,
        visible: Sequence[float] | None = None,
        area: float | None = None,
        ignore: bool = False,
    ) -> None:
        """Adds an object or an ignored region.

        A box that reaches beyond the picture is cut off at its edge, as annotators draw whole
        people at the border; one without a pixel in it is left out.

        Args:
            box: x, y, width and height, as both layouts have it.
            label: Its category.
            where: The annotation's place, for the message.
            visible: The visible part's box; None is all of it.
            area: In pixels; None is the box's, and so is one that is no finite number above 0.
            ignore: Whether it is a region to ignore.

        Raises:
            RlAbnError: If it is no box, or lies outside the picture.
        """
        corners, cut = self._corners(box, where)
        self.n_cut += cut
        if min(corners[2:] - corners[:2]) < 1.0:
            self.n_empty += 1
            return
        if ignore:
            self._ignored.append((corners, label))
            return
        seen = corners
        if visible is not None and visible[2] > 0 and visible[3] > 0:
            part, _ = self._corners(visible, f"{where}, visible part")
            seen = np.concatenate(
                [np.maximum(part[:2], corners[:2]), np.minimum(part[2:], corners[2:])]
            )
        elif visible is not None:
            seen = np.concatenate([corners[:2], corners[:2]])  # nothing of it
        if area is None or not 0 < area <= _MOST_AREA:
            area = float(areas(corners[None])[0])
        self._objects.append((corners, label, seen, area))

    def done(self) -> Picture:
        """Returns the picture."""
        objects, ignored = self._objects, self._ignored
        return Picture(
            self.name,
            self.size,
            _stacked([box for box, *_ in objects]),
            np.array([label for _, label, *_ in objects], np.int64),
            _stacked([seen for *_, seen, _ in objects]),
            np.array([area for *_, area in objects], np.float32),
            _stacked([box for box, _ in ignored]),
            np.array([label for _, label in ignored], np.int64),
        )

    def _corners(self, box: Sequence[float], where: str) -> tuple[np.ndarray, bool]:
        height, width = self.size
        x, y, wide, high = box
        if not np.isfinite(box).all() or wide < 0 or high < 0:
            raise RlAbnError(
                f"{where}: expected a box of x, y, width and height from 0, got {_shown(box)}"
            )
        if x >= width or y >= height or x + wide <= 0 < wide or y + high <= 0 < high:
            raise RlAbnError(
                f"{where}: expected a box within the picture's {width}×{height}, got {_shown(box)}"
            )
        corners = np.array([x, y, x + wide, y + high])
        inside = np.clip(corners, 0, [width, height, width, height]).astype(np.float32)
        return inside, bool(np.abs(inside - corners).max() > 1.0)


def noted(pictures: Sequence[Boxes], place: str) -> tuple[str, ...]:
    """Returns what was got round in boxes, a line each."""
    cut = sum(boxes.n_cut for boxes in pictures)
    empty = sum(boxes.n_empty for boxes in pictures)
    notes = []
    if cut:
        notes.append(
            f"{place}: {cut:,} boxes reach beyond their picture and are cut off at its edge"
        )
    if empty:
        notes.append(f"{place}: {empty:,} boxes are smaller than a pixel and left out")
    return tuple(notes)


def check_not_empty(boxed: BoxedSet, place: str) -> BoxedSet:
    """Returns a set that has pictures and objects.

    Raises:
        RlAbnError: If it has not.
    """
    if not boxed.pictures:
        raise RlAbnError(f"{place}: expected pictures, got none")
    if not boxed.n_objects:
        raise RlAbnError(f"{place}: expected boxes in the pictures, got {len(boxed):,} empty ones")
    return boxed


def _stacked(boxes: list[np.ndarray]) -> np.ndarray:
    return np.stack(boxes).astype(np.float32) if boxes else np.zeros((0, 4), np.float32)


def _shown(box: Sequence[float]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in box) + "]"
