"""Driving logs: frames of a camera, and what the driver did at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.images import Framing
from rl_abn.files.store import FolderStore, Store, join, named, open_store
from rl_abn.files.text import kind_of
from rl_abn.vision.data.driving_table import Row, read_table
from rl_abn.vision.data.frames import FrameFinder, uninterrupted
from rl_abn.vision.data.pictures import MEMORY_LIMIT, PictureFiles, Pictures, load_pictures
from rl_abn.vision.data.source import descend


@dataclass(frozen=True, eq=False)
class DrivingLog:
    """What a driver saw and did, frame by frame, in the order of the log. Tensors on the CPU.

    Attributes:
        pictures: N frames.
        controls: Steering, -1 (left) to 1 (right), and throttle, 0 to 1; float32 [N, 2].
        brake: 0 to 1, float32 [N].
        speed: 0 to 500 in the log's own unit, float32 [N].
        names: What each frame's picture is called.
        blocks: Which uninterrupted stretch of driving a frame belongs to, from 0, int64 [N].
        notes: What was got round, a line each, to be shown to the user.
    """

    pictures: Pictures
    controls: Float[Tensor, "N 2"]
    brake: Float[Tensor, " N"]
    speed: Float[Tensor, " N"]
    names: tuple[str, ...]
    blocks: Int64[Tensor, " N"]
    notes: tuple[str, ...] = ()


def open_driving_log(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    rows: tuple[int, int] | None = None,
    device: str | torch.device = "cpu",
    memory_limit: int = MEMORY_LIMIT,
    hold: bool = True,
) -> DrivingLog:
    """Opens a driving log.

    Frames whose pictures are missing are left out and noted. Pictures are found beside the log,
    also where it names them by the paths of another machine. Pictures outside its folder are
    refused; a link in the folder to where they lie allows them.

    Args:
        path: A CSV, a folder that holds one, or a .zip of such a folder.
        size: Height and width that frames are resized to; None leaves them.
        rows: First row that is kept and the row after the last, of the picture as it is stored.
        device: Where frames are held, or go when they are read.
        memory_limit: Bytes that the decoded frames may take. Above that they stay on disk and are
            decoded whenever they are read.
        hold: Whether frames are decoded now, and not when they are read.

    Raises:
        RlAbnError: If there is no such log, all pictures are missing, some lie outside its folder,
            or something in it is not as it should be.
    """
    framing = drive_framing(rows, size)
    store, _, frames, names, notes = list_driving_log(path)
    store.warn_of_skipped()
    files = PictureFiles(store, names, framing)
    pictures = load_pictures(files, device, memory_limit, hold=hold)
    numbers = torch.tensor([row.numbers for row in frames], dtype=torch.float32)
    blocks = uninterrupted(names, [row.recording for row in frames])
    return DrivingLog(
        pictures=pictures,
        controls=numbers[:, :2].contiguous(),
        brake=numbers[:, 2].contiguous(),
        speed=numbers[:, 3].contiguous(),
        names=names,
        blocks=torch.from_numpy(np.asarray(blocks)),
        notes=notes,
    )


class LogListing(NamedTuple):
    """What is in a driving log, without its pictures' pixels.

    Attributes:
        store: Where it lies.
        table: The CSV's name in there.
        rows: Those whose pictures are there.
        names: Their pictures' names in the store.
        notes: What was got round, a line each.
    """

    store: Store
    table: str
    rows: list[Row]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def list_driving_log(path: str | Path) -> LogListing:
    """Lists a driving log; the arguments and errors are those of `open_driving_log`."""
    store, table = _find_table(Path(path))
    return LogListing(store, table, *_with_pictures(store, table, read_table(store, table)))


def drive_framing(rows: tuple[int, int] | None, size: tuple[int, int] | None) -> Framing:
    """Returns what is made of a camera's frame, in a log and where a network drives."""
    return Framing(rows=rows, size=size, stretch=True)


def tracks_driven(path: str | Path, track_of: Callable[[str], int | None]) -> set[int]:
    """Returns the tracks that the names of a log's pictures speak of.

    Args:
        path: As of `open_driving_log`.
        track_of: From a picture's name to its track; None where it says nothing.

    Raises:
        RlAbnError: If there is no such log.
    """
    rows = read_table(*_find_table(Path(path)))
    return {track for row in rows if (track := track_of(row.image)) is not None}


def _find_table(path: Path) -> tuple[Store, str]:
    """Returns where a log lies, and its CSV's name in there."""
    if path.suffix.lower() == ".csv" and kind_of(path) == "a file":
        return FolderStore(path.parent), path.name
    store = open_store(path)
    root = descend(store)
    tables = [file for file in store.entries(root).files if file.lower().endswith(".csv")]
    if "driving_log.csv" in tables:
        tables = ["driving_log.csv"]
    if len(tables) != 1:
        raise RlAbnError(
            f"{store.place(root)}: expected a driving log, one .csv, got {named(tables) or 'none'}"
        )
    return store, join(root, tables[0])


def _with_pictures(
    store: Store, table: str, rows: list[Row]
) -> tuple[list[Row], tuple[str, ...], tuple[str, ...]]:
    """Returns the rows whose pictures are there, those pictures' names, and a note of others."""
    finder = FrameFinder(store, table.rpartition("/")[0])
    found = [finder.find(row.image) for row in rows]
    missing = [row.image for row, name in zip(rows, found, strict=True) if name is None]
    if not missing:
        return rows, tuple(name for name in found if name is not None), ()
    said = f"{len(missing):,} of {len(rows):,} pictures are missing: {named(missing)}"
    if len(missing) == len(rows):
        raise RlAbnError(
            f"{store.place(table)}: expected pictures beside the log, got none: {said}"
        )
    kept = [(row, name) for row, name in zip(rows, found, strict=True) if name is not None]
    frames, names = zip(*kept, strict=True)
    return list(frames), names, (f"{store.place(table)}: {said}",)
