"""Pictures in a folder and a table of their attributes, laid out as CelebA (Liu et al. 2015)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.images import is_picture
from rl_abn.files.store import join, named
from rl_abn.files.text import brief
from rl_abn.vision.data.source import SPLITS, Listing, Source

_TABLE = re.compile(r"list_attr_.*\.(txt|csv)$")
_PARTITION = re.compile(r"list_eval_partition\.(txt|csv)$")
_MOST_BYTES = 256 * 2**20
_MOST_NAME = 80  # of a cell, in a message


class _Table(NamedTuple):
    place: str
    attributes: tuple[str, ...]
    files: tuple[str, ...]
    values: np.ndarray  # int64 [N, A], 0 or 1


class AttributeTable(Source):
    """A table list_attr_….txt (or .csv), a list_eval_partition if there is one, and pictures.

    The table has 1 or -1 (or 0) for every picture and attribute; the partition 0, 1 or 2 for
    train, val and test. Without one all is train.
    """

    @staticmethod
    def fits(files: list[str]) -> bool:
        """Says whether a table of attributes is among files."""
        return any(map(_TABLE.search, files))

    def splits(self) -> tuple[str, ...]:
        """Returns the splits; a set without a partition is all train."""
        parts = self._partition()
        if parts is None:
            return ("train",)
        return tuple(s for i, s in enumerate(SPLITS) if i in parts.values())

    def listing(self, split: str) -> Listing:
        """Lists the pictures of a split."""
        table = self._table()
        parts = self._partition()
        wanted = tuple(SPLITS).index(split)
        if parts is None:
            rows = np.arange(len(table.files))
        else:
            unknown = [file for file in table.files if file not in parts]
            if unknown:
                raise RlAbnError(
                    f"{table.place}: expected every picture in the partition, "
                    f"got {len(unknown):,} that are not: {named(unknown)}"
                )
            rows = np.array([i for i, file in enumerate(table.files) if parts[file] == wanted])
        if not len(rows):
            raise RlAbnError(f"{table.place}: expected pictures of the split '{split}', got none")
        whole = self._whole_names(table)
        names = tuple(whole[i] for i in rows)
        values = torch.from_numpy(table.values[rows]).float()
        return Listing(names, values, table.attributes)

    def _whole_names(self, table: _Table) -> list[str]:
        """Returns where each row's picture lies: in the folder that has most of them."""
        rows = set(table.files)
        there = set(self.store.below(self.root))
        found: Counter[str] = Counter()
        for name in sorted(there):
            folder, _, file = name.rpartition("/")
            found[folder] += file in rows
        folder = max(found, key=lambda name: found[name])
        whole = [join(folder, file) for file in table.files]
        missing = [name.rpartition("/")[2] for name in whole if name not in there]
        if missing:
            raise RlAbnError(
                f"{table.place}: expected a picture for every row, got {len(missing):,} rows "
                f"without one: {named(missing)}"
            )
        return whole

    def _table(self) -> _Table:
        name = self._find(_TABLE)
        assert name is not None
        place = self.store.place(name)
        rows = self._rows(name)
        head = next(rows, [])
        expected = None
        if len(head) == 1 and head[0].isdecimal():
            expected, head = int(head[0]), next(rows, [])
        # The names' line of the .txt says nothing of the first column, that of the .csv does.
        attributes = tuple(map(printable, head[1:] if name.endswith(".csv") else head))
        files, values = [], []
        for line, row in enumerate(rows, start=2 if expected is None else 3):
            files.append(_picture(row, len(attributes), place, line))
            values.append(_values(row[1:], attributes, place, line))
        if not attributes or not files or (expected is not None and len(files) != expected):
            said = "rows" if expected is None else f"{expected:,} rows as its first line says"
            raise RlAbnError(
                f"{place}: expected {said} of attributes, got {len(files):,} rows of "
                f"{len(attributes)}"
            )
        return _Table(place, attributes, tuple(files), np.array(values, np.int64))

    def _partition(self) -> dict[str, int] | None:
        name = self._find(_PARTITION)
        if name is None:
            return None
        parts: dict[str, int] = {}
        for line, row in enumerate(self._rows(name), start=1):
            if line == 1 and row[1:] == ["partition"]:
                continue
            if len(row) != 2 or row[1] not in ("0", "1", "2"):
                raise RlAbnError(
                    f"{self.store.place(name)}: expected a picture and 0, 1 or 2 in row {line}, "
                    f"got {' '.join(row)[:_MOST_NAME]!a}"
                )
            parts[row[0]] = int(row[1])
        return parts

    def _find(self, pattern: re.Pattern[str]) -> str | None:
        names = (join(self.root, file) for file in near_files(self))
        return next((name for name in names if pattern.search(name)), None)

    def _rows(self, name: str) -> Iterator[list[str]]:
        """Yields a table's rows that are not empty, cell by cell."""
        try:
            lines = self.store.read(name, _MOST_BYTES).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise RlAbnError(
                f"{self.store.place(name)}: expected UTF-8, got {brief(error)}"
            ) from None
        for line in filter(str.strip, lines):
            yield [cell.strip() for cell in line.split("," if name.endswith(".csv") else None)]


def near_files(source: Source) -> list[str]:
    """Lists the files of a set that lie at its root or one folder further down."""
    folders, files = source.store.entries(source.root)
    for folder in folders:
        inner = source.store.entries(join(source.root, folder)).files
        files = [*files, *(join(folder, file) for file in inner)]
    return files


def _picture(row: list[str], n_attributes: int, place: str, line: int) -> str:
    if len(row) != n_attributes + 1 or not is_picture(row[0]):
        raise RlAbnError(
            f"{place}: expected a picture and {n_attributes} values in row {line}, "
            f"got {len(row)} cells, {' '.join(row)[:_MOST_NAME]!a}"
        )
    return row[0]


def _values(cells: list[str], attributes: tuple[str, ...], place: str, line: int) -> list[int]:
    try:
        return [{"1": 1, "-1": 0, "0": 0}[cell] for cell in cells]
    except KeyError as error:
        wrong = error.args[0]
        raise RlAbnError(
            f"{place}: expected 1 or -1 for '{attributes[cells.index(wrong)]}' in row {line}, "
            f"got {wrong[:_MOST_NAME]!a}"
        ) from None
