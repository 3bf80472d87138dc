"""The two domains of a translation: their pictures, and what is kept of them beside the weights."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.images import Framing, is_picture
from rl_abn.files.store import FolderStore, Store, join, open_store
from rl_abn.files.text import kind_of, read_json
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Label, Table
from rl_abn.vision.data.celeba import AttributeTable, near_files
from rl_abn.vision.data.driving import list_driving_log
from rl_abn.vision.data.image_folders import ImageFolders
from rl_abn.vision.data.labelled import recognise
from rl_abn.vision.data.pictures import PictureFiles, Pictures, load_pictures
from rl_abn.vision.data.source import descend
from rl_abn.vision.detection.layouts import annotation_files

DOMAINS = "domains.json"
_Sha = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Layout(NamedTuple):
    """A data set as files.

    Attributes:
        store: Where it lies.
        names: Its pictures.
        tables: Files that say what belongs to each picture; folders' names do where there is none.
        notes: What was got round, a line each.
    """

    store: Store
    names: tuple[str, ...]
    tables: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Domain(NamedTuple):
    """The pictures of one domain.

    Attributes:
        pictures: At the size they are translated in.
        stored: Height and width of the first of them in its file.
        known: What is kept of it in the run folder.
        notes: What was got round, a line each.
    """

    pictures: Pictures
    stored: tuple[int, int]
    known: KnownDomain
    notes: tuple[str, ...]

    def read(self, numbers: Tensor) -> Tensor:
        """Returns some pictures in -1..1, float32 [B, 3, H, W]."""
        return to_unit(self.pictures.read(numbers))


class KnownDomain(Table):
    """Where a domain lay and which pictures it had."""

    path: Label
    n: Annotated[int, Field(ge=1)]
    names_sha256: _Sha


class KnownNetwork(Table):
    """Whose maps are to stay the same."""

    path: Label
    epoch: Annotated[int, Field(ge=1)]
    weights_sha256: _Sha


class KnownDomains(Table):
    """`domains.json`: what a translation is trained on."""

    source: KnownDomain
    target: KnownDomain
    network: KnownNetwork | None = None

    @classmethod
    def load(cls, run: Path) -> KnownDomains:
        """Reads it from a run folder.

        Raises:
            RlAbnError: If it is missing or damaged.
        """
        return validate(cls, read_json(run / DOMAINS), str(run / DOMAINS))


def layout_of(path: Path) -> Layout:
    """Lists a driving log, picture folders, pictures with attributes or boxes, or pictures alone.

    Raises:
        RlAbnError: If there is no such set, it is empty, its pictures are no files, or its table is
            not as it has to be.
    """
    if _is_log(path):
        store, table, _, names, notes = list_driving_log(path)
        return Layout(store, tuple(dict.fromkeys(names)), (table,), notes)
    source = recognise(path)
    tables = list(annotation_files(source.store))
    try:
        listings = [source.listing(split) for split in source.splits()]
    except RlAbnError:
        pictures = tuple(name for name in source.store.below("") if is_picture(name))
        # Pictures in no folders of classes will do, but not a table that cannot be read.
        if not isinstance(source, ImageFolders) or not pictures:
            raise
        return Layout(source.store, pictures, tuple(tables))
    if any(listing.pixels is not None for listing in listings):
        raise RlAbnError(
            f"{source.place}: expected a driving log or folders of pictures, got CIFAR's binary "
            "version, whose pictures are no files"
        )
    if isinstance(source, AttributeTable):
        files = [join(source.root, file) for file in near_files(source)]
        tables += [file for file in files if file.lower().endswith((".txt", ".csv"))]
    every = tuple(dict.fromkeys(name for listing in listings for name in listing.names))
    return Layout(source.store, every, tuple(tables))


def open_domain(path: Path, size: tuple[int, int], device: torch.device) -> Domain:
    """Opens one domain.

    Args:
        path: A driving log, picture folders, pictures with a table of attributes, or pictures.
        size: Height and width that whole pictures are resized to.
        device: Where pictures go.

    Raises:
        RlAbnError: If there is no such set, it is empty, or a picture cannot be read.
    """
    layout = layout_of(path)
    files = PictureFiles(layout.store, layout.names, Framing(size=size, stretch=True))
    pictures = load_pictures(files, device)
    height, width = PictureFiles(layout.store, layout.names, Framing()).decode(0).shape[:2]
    hashed = sha256("\0".join(layout.names).encode("utf-8", "replace")).hexdigest()
    known = KnownDomain(path=str(path.resolve()), n=len(layout.names), names_sha256=hashed)
    return Domain(pictures, (height, width), known, layout.notes)


def to_unit(pixels: Tensor) -> Tensor:
    """Returns pixels of 0..255 as generators take them, -1..1."""
    return pixels.float() / 127.5 - 1.0


def to_pixels(pictures: Tensor) -> Tensor:
    """Returns pictures of -1..1 as pixels, uint8."""
    return (127.5 * (pictures.detach() + 1.0)).round_().clamp_(0, 255).to(torch.uint8)


def _is_log(path: Path) -> bool:
    if path.suffix.lower() == ".csv" and kind_of(path) == "a file":
        return not AttributeTable.fits([path.name])
    store = FolderStore(path) if path.is_dir() else open_store(path)
    files = store.entries(descend(store)).files
    tables = [file for file in files if file.lower().endswith(".csv")]
    return bool(tables) and not AttributeTable.fits(files)
