"""Pictures with their classes or attributes, whatever way they are laid out on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.images import Framing
from rl_abn.files.store import open_store
from rl_abn.vision.data.celeba import AttributeTable, near_files
from rl_abn.vision.data.cifar import CifarBinary
from rl_abn.vision.data.image_folders import ImageFolders
from rl_abn.vision.data.pictures import (
    MEMORY_LIMIT,
    PictureFiles,
    Pictures,
    hold_arrays,
    load_pictures,
)
from rl_abn.vision.data.source import Source, descend


@dataclass(frozen=True, eq=False)
class Labelled:
    """A split of a labelled set.

    Attributes:
        pictures: N of them.
        targets: On the CPU: classes, int64 [N], or attributes, float32 [N, A] of 0 and 1.
        class_names: Of the classes 0 to K - 1, or of the attributes.
        names: What each picture is called.
    """

    pictures: Pictures
    targets: Tensor
    class_names: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def has_attributes(self) -> bool:
        """Whether a picture has several labels, each yes or no, instead of one class."""
        return self.targets.ndim == 2


def open_labelled(
    path: str | Path,
    *,
    split: str = "train",
    size: int | tuple[int, int] | None = None,
    short_side: int | None = None,
    device: str | torch.device = "cpu",
    memory_limit: int = MEMORY_LIMIT,
    hold: bool = True,
) -> Labelled:
    """Opens a split of a labelled set.

    Args:
        path: A folder, or a .zip of one, with ROOT/CLASS/FILE or ROOT/SPLIT/CLASS/FILE; the binary
            version of CIFAR-10 or CIFAR-100; or pictures with a table of attributes as CelebA has.
        split: "train", "val" or "test"; a set without splits is all train.
        size: Height and width of the pictures, or both at once; the short side is resized to it
            and the rest cut off at both ends. None takes them as they are, if all have one size.
        short_side: Resizes the short side to this before the centre is cut out, as is usual in
            tests on ImageNet: 256 for a size of 224. Augmentation has the centre alone, too.
        device: Where pictures are held, or go when they are read.
        memory_limit: Bytes that the decoded pictures may take. Above that they stay on disk and
            are decoded whenever they are read.
        hold: Whether pictures are decoded now, and not when they are read.

    Raises:
        RlAbnError: If there is no such set or split, or something in it is not as it should be.
    """
    sides = (size, size) if isinstance(size, int) else size
    framing = Framing(size=sides, short_side=short_side)
    source = recognise(Path(path))
    source.check_split(split)
    names, targets, class_names, pixels = source.listing(split)
    source.store.warn_of_skipped()
    pictures: Pictures
    if pixels is None:
        files = PictureFiles(source.store, names, framing)
        pictures = load_pictures(files, device, memory_limit, hold=hold)
    else:
        pictures = hold_arrays(pixels, framing, device)
    return Labelled(pictures, targets, class_names, names)


def splits_of(path: str | Path) -> tuple[str, ...]:
    """Returns which of train, val and test a set has; one without splits is all train.

    Raises:
        RlAbnError: If there is no such set.
    """
    return recognise(Path(path)).splits()


def recognise(path: Path) -> Source:
    """Finds out which kind of labelled set lies somewhere.

    Raises:
        RlAbnError: If there is nothing, or a set that is not read here.
    """
    store = open_store(path)
    folders = ImageFolders(store, descend(store))
    files = store.entries(folders.root).files
    if CifarBinary.fits(files):
        return CifarBinary(store, folders.root)
    if "batches.meta" in files or ("meta" in files and "train" in files):
        raise RlAbnError(
            f"{folders.place}: expected CIFAR's binary version, got the Python version, "
            "which is pickles and not read"
        )
    if "driving_log.csv" in files:
        raise RlAbnError(f"{folders.place}: expected a set with classes, got a driving log")
    if AttributeTable.fits(near_files(folders)):
        return AttributeTable(store, folders.root)
    return folders
