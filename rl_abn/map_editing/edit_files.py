"""Edited maps on disk: a folder with edits.toml, the map files it names, and clicks.

bandwidth = 4.0                      # of clicks, pixels
clicks = "clicks.csv"                # columns picture, x, y

[[edit]]
picture = "cat/0001.png"             # the image's name in the data set
map = "maps/0.npy"                   # or a grey .png; 0..1
remove = [[0, 0, 16, 16]]            # left, top, right, bottom in pixels
add = [[20, 8, 31, 19]]
observation = "observations/0.npy"   # what an agent saw, for a moment that no data set has
"""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from jaxtyping import Float32

from rl_abn.errors import RlAbnError, did_you_mean, printable
from rl_abn.files.images import decode
from rl_abn.files.store import Store, join, nearest, open_store
from rl_abn.files.text import brief, write_atomically
from rl_abn.map_editing.edits import BANDWIDTH, Box, Click, Edit, Edits

TABLE = "edits.toml"
_KEYS = ("bandwidth", "clicks", "edit")
_EDIT_KEYS = ("picture", "map", "remove", "add", "observation")
_MOST_BYTES = 64 * 2**20
_MOST_SIDE = 2_048
_MOST_MAPS = 256
_BANDWIDTHS = (0.1, 1_000.0)
_FARTHEST = 1e6
_COLUMNS = ["picture", "x", "y"]


def read_edits(path: str | Path) -> Edits:
    """Reads edited maps from a folder with edits.toml, that file itself, or a .zip of the folder.

    Whether the images exist in a data set, and boxes and clicks lie inside the images, is checked
    when the edits are applied. Nothing is unpickled.

    Raises:
        RlAbnError: If there are no edits, or something in them is invalid.
    """
    path = Path(path)
    store = open_store(path.parent if path.suffix.lower() == ".toml" else path)
    table = path.name if path.suffix.lower() == ".toml" else TABLE
    if not store.has(table):
        raise RlAbnError(f"expected edits, {store.place(table)}: {nearest(store.path / table)}")
    place = store.place(table)
    data = _toml(store, table)
    _check_keys(data, _KEYS, place)
    bandwidth = data.get("bandwidth", BANDWIDTH)
    if not _is_number(bandwidth) or not _BANDWIDTHS[0] <= bandwidth <= _BANDWIDTHS[1]:
        low, high = _BANDWIDTHS
        raise RlAbnError(f"{place}: expected a bandwidth of {low} to {high:,g}, got {bandwidth!r}")
    rows = data.get("edit", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RlAbnError(f"{place}: expected tables [[edit]], got {_said(rows)}")
    edits: dict[str, Edit] = {}
    for number, row in enumerate(rows, start=1):
        picture, edit = _edit(store, row, f"{place}, edit {number}")
        if picture in edits:
            raise RlAbnError(f"{place}: expected one edit a picture, got two of {picture!a}")
        edits[picture] = edit
    if "clicks" in data:
        for picture, clicks in _clicks(store, data["clicks"], place).items():
            before = edits.get(picture, Edit())
            if before.map is not None:
                raise RlAbnError(f"{place}: expected a map or clicks of {picture!a}, got both")
            edits[picture] = replace(before, clicks=clicks)
    if not edits:
        raise RlAbnError(f"{place}: expected edits, got none")
    return Edits(edits, float(bandwidth), place)


def write_edits(folder: str | Path, edits: Edits) -> None:
    """Writes one or more edits in the format of `read_edits`; existing files are replaced.

    Raises:
        RlAbnError: If the files cannot be written.
    """
    folder = Path(folder)
    rows, clicks = [], io.StringIO()
    writer = csv.writer(clicks, lineterminator="\n")
    writer.writerow(_COLUMNS)
    try:
        (folder / "maps").mkdir(parents=True, exist_ok=True)
        if any(edit.observation is not None for edit in edits.of.values()):
            (folder / "observations").mkdir(exist_ok=True)
        for number, (picture, edit) in enumerate(edits.of.items()):
            row: dict[str, Any] = {"picture": picture}
            if edit.map is not None:
                row["map"] = f"maps/{number:05}.npy"
                _write_array(folder / row["map"], edit.map.astype(np.float32))
            if edit.observation is not None:
                row["observation"] = f"observations/{number:05}.npy"
                _write_array(folder / row["observation"], edit.observation)
            row |= {key: [list(map(float, box)) for box in getattr(edit, key)] for key in _BOXES}
            rows.append({key: value for key, value in row.items() if value})
            writer.writerows((picture, *click) for click in edit.clicks)
        table: dict[str, Any] = {"bandwidth": float(edits.bandwidth)}
        if any(edit.clicks for edit in edits.of.values()):
            write_atomically(folder / "clicks.csv", clicks.getvalue())
            table["clicks"] = "clicks.csv"
        write_atomically(folder / TABLE, tomli_w.dumps({**table, "edit": rows}))
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None


def _write_array(path: Path, array: np.ndarray) -> None:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    write_atomically(path, data.getvalue())


_BOXES = ("remove", "add")


def _toml(store: Store, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(store.read(name, _MOST_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise RlAbnError(
            f"{store.place(name)}: expected TOML, got {printable(brief(error))}"
        ) from None


def _edit(store: Store, row: Mapping[str, Any], place: str) -> tuple[str, Edit]:
    _check_keys(row, _EDIT_KEYS, place)
    picture = row.get("picture")
    if not isinstance(picture, str) or not picture:
        raise RlAbnError(f"{place}: expected a picture's name, got {_said(picture)}")
    given = _map(store, row["map"], place) if "map" in row else None
    remove, add = (_boxes(row.get(key, []), key, place) for key in _BOXES)
    seen = _observation(store, row["observation"], place) if "observation" in row else None
    return picture, Edit(map=given, remove=remove, add=add, observation=seen)


def _observation(store: Store, name: object, place: str) -> np.ndarray:
    file, _ = _name(name, (".npy",), place)
    where = store.place(file)
    try:
        seen = _read_npy(store.read(file, _MOST_BYTES), (3,))
    except (ValueError, EOFError, OverflowError, SyntaxError, RecursionError) as error:
        raise RlAbnError(f"{where}: {printable(brief(error))}") from None
    if seen.dtype.kind == "f" and not np.isfinite(seen).all():
        raise RlAbnError(f"{where}: expected finite numbers, got NaN or infinity")
    return seen


def _boxes(rows: object, key: str, place: str) -> tuple[Box, ...]:
    if not isinstance(rows, list):
        raise RlAbnError(f"{place}: expected a list of boxes to {key}, got {_said(rows)}")
    for row in rows:
        if (
            not isinstance(row, list)
            or len(row) != 4
            or not all(_is_number(side) and abs(side) <= _FARTHEST for side in row)
            or not (row[0] < row[2] and row[1] < row[3])
        ):
            raise RlAbnError(
                f"{place}: expected a box [left, top, right, bottom] to {key}, got {_said(row)}"
            )
    return tuple(Box(*map(float, row)) for row in rows)


def _map(store: Store, name: object, place: str) -> Float32[np.ndarray, "m h w"]:
    file, suffix = _name(name, (".npy", ".png"), place)
    data = store.read(file, _MOST_BYTES)
    where = store.place(file)
    try:
        given = _npy(data) if suffix == ".npy" else _grey(data)
    except (ValueError, EOFError, OverflowError, SyntaxError, RecursionError) as error:
        raise RlAbnError(f"{where}: {printable(brief(error))}") from None
    low, high = float(given.min()), float(given.max())
    if not (low >= 0.0 and high <= 1.0):  # also true for NaN
        raise RlAbnError(f"{where}: expected a map in 0..1, got {low:g} to {high:g}")
    return given


def _npy(data: bytes) -> Float32[np.ndarray, "m h w"]:
    values = _read_npy(data, (2, 3))
    return np.ascontiguousarray(values.reshape(-1, *values.shape[-2:]), dtype=np.float32)


def _read_npy(data: bytes, n_dims: tuple[int, ...]) -> np.ndarray:
    """Reads an array after checking its size in the header, before memory is allocated."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if header is None:
        raise ValueError(f"expected a .npy of version 1 or 2, got {version[0]}.{version[1]}")
    shape, _, dtype = header(file)
    if dtype.kind not in "fiub":
        raise ValueError(f"expected an array of numbers, got {dtype}")
    if (
        len(shape) not in n_dims
        or not all(1 <= side <= _MOST_SIDE for side in shape)
        or (len(shape) == 3 and shape[0] > _MOST_MAPS)
        or math.prod(shape) * dtype.itemsize > len(data) - file.tell()
    ):
        expected = "a map [h, w] or [m, h, w]" if 2 in n_dims else "an observation [C, h, w]"
        raise ValueError(f"expected {expected}, got {list(shape)}")
    values: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return values


def _grey(data: bytes) -> Float32[np.ndarray, "one h w"]:
    picture = decode(data)
    if max(picture.shape) > _MOST_SIDE:
        raise ValueError(f"expected a map of at most {_MOST_SIDE} a side, got {picture.shape[:2]}")
    if not (picture == picture[:, :, :1]).all():
        raise ValueError("expected a grey picture for a map, got a coloured one")
    return picture[None, :, :, 0].astype(np.float32) / 255.0


def _clicks(store: Store, name: object, place: str) -> dict[str, tuple[Click, ...]]:
    file, _ = _name(name, (".csv",), place)
    where = store.place(file)
    clicks: dict[str, list[Click]] = {}
    for line, cells in _rows(store, file):
        if line == 1:
            if cells != _COLUMNS:
                raise RlAbnError(f"{where}: expected columns {_COLUMNS}, got {_said(cells)}")
            continue
        try:
            picture, x, y = cells[0], *map(float, cells[1:])
            if not picture or not (abs(x) <= _FARTHEST and abs(y) <= _FARTHEST):
                raise ValueError
        except ValueError:
            raise RlAbnError(
                f"{where}: expected a picture, x and y in line {line}, got {_said(cells)}"
            ) from None
        clicks.setdefault(picture, []).append(Click(x, y))
    return {picture: tuple(points) for picture, points in clicks.items()}


def _rows(store: Store, name: str) -> Iterator[tuple[int, list[str]]]:
    try:
        reader = csv.reader(store.read(name, _MOST_BYTES).decode("utf-8-sig").splitlines())
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise RlAbnError(
            f"{store.place(name)}: expected a CSV in UTF-8, got {printable(brief(error))}"
        ) from None


def _name(name: object, suffixes: tuple[str, ...], place: str) -> tuple[str, str]:
    """Checks that a file name stays inside the folder; returns it and its suffix."""
    parts = str(name).split("/")
    suffix = Path(parts[-1]).suffix.lower()
    if (
        not isinstance(name, str)
        or any(part in ("", ".", "..") or not part.isprintable() for part in parts)
        or "\\" in name
        or suffix not in suffixes
    ):
        raise RlAbnError(
            f"{place}: expected a {' or '.join(suffixes)} in the folder of the edits, "
            f"got {_said(name)}"
        )
    return join(*parts), suffix


def _check_keys(table: Mapping[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in keys:
            raise RlAbnError(f"{place}: unknown key {key[:80]!a}: {did_you_mean(key, keys)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(value: object) -> str:
    return ascii(value)[:120] if value is not None else "none"
