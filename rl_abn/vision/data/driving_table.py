"""The table of a driving log: what the driver did at every frame."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.store import Store
from rl_abn.files.text import brief

IMAGE_COLUMNS = ("center", "image")
RANGES = {
    "steering": (-1.0, 1.0),
    "throttle": (0.0, 1.0),
    "brake": (0.0, 1.0),
    "speed": (0.0, 500.0),
}
"""The columns of numbers there have to be, and what they can be; speed in any unit."""
RECORDING = "recording"
"""A column there may be: what differs in it was not driven in one go."""
_UDACITY = ("center", "left", "right", "steering", "throttle", "brake", "speed")
_SLACK = 1e-3  # a simulator's -0.0001 is a rounding error
_MOST_BYTES = 256 * 2**20
_MOST_CELL = 80  # of a cell, in a message


class Row(NamedTuple):
    """A frame.

    Attributes:
        image: The picture's path, as it is written there.
        numbers: Steering, throttle, brake and speed.
        recording: What its recording is called; "" where nobody says.
    """

    image: str
    numbers: tuple[float, ...]
    recording: str


def read_table(store: Store, name: str) -> list[Row]:
    """Reads a driving log's CSV.

    Its columns are `center` or `image`, `steering`, `throttle`, `brake` and `speed`, and may be
    `recording`; others are ignored. Without a line of names they are the seven that the Udacity
    simulator writes.

    Raises:
        RlAbnError: If it is no such table, with the line or the nearest column.
    """
    place = store.place(name)
    rows = _rows(store, name)
    first = next(rows, None)
    if first is None:
        raise RlAbnError(f"{place}: expected a driving log, got an empty file")
    line, head = first
    named = [cell.lower() for cell in head]
    if len(head) == len(_UDACITY) and all(map(_is_number, head[3:])):
        table = [_row(head, list(_UDACITY), place, line)]
        named = list(_UDACITY)
    else:
        _check_columns(named, place)
        table = []
    table += [_row(cells, named, place, line) for line, cells in rows]
    if not table:
        raise RlAbnError(f"{place}: expected a driving log, got a table without rows")
    return table


def _rows(store: Store, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that are not empty, with their lines, counted from 1."""
    try:
        text = store.read(name, _MOST_BYTES).decode("utf-8-sig")
        reader = csv.reader(text.splitlines())
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise RlAbnError(
            f"{store.place(name)}: expected a CSV in UTF-8, got {printable(brief(error))}"
        ) from None


def _check_columns(head: list[str], place: str) -> None:
    if not any(column in head for column in IMAGE_COLUMNS):
        raise _missing("center' or 'image", IMAGE_COLUMNS, head, place)
    for column in RANGES:
        if column not in head:
            raise _missing(column, (column,), head, place)
    twice = next((column for column in (*IMAGE_COLUMNS, *RANGES) if head.count(column) > 1), None)
    if twice:
        raise RlAbnError(f"{place}: expected one column '{twice}', got {head.count(twice)}")


def _missing(called: str, columns: tuple[str, ...], head: list[str], place: str) -> RlAbnError:
    near = [match for column in columns for match in get_close_matches(column, head, 1, 0.5)]
    there = printable(", ".join(head)[:160])
    hint = f"; the nearest is '{printable(near[0])}'" if near else ""
    return RlAbnError(f"{place}: expected a column '{called}', got {there}{hint}")


def _row(cells: list[str], columns: list[str], place: str, line: int) -> Row:
    if len(cells) != len(columns):
        raise RlAbnError(f"{place}: expected {len(columns)} cells in line {line}, got {len(cells)}")
    row = dict(zip(columns, cells, strict=True))
    image = next(row[column] for column in IMAGE_COLUMNS if column in row)
    numbers = tuple(_number(row[column], column, place, line) for column in RANGES)
    return Row(image, numbers, row.get(RECORDING, ""))


def _number(cell: str, column: str, place: str, line: int) -> float:
    low, high = RANGES[column]
    value = float(cell) if _is_number(cell) else math.nan
    if not low - _SLACK <= value <= high + _SLACK:  # nor is NaN
        raise RlAbnError(
            f"{place}: expected {column} of {low:g} to {high:g} in line {line}, "
            f"got {cell[:_MOST_CELL]!a}"
        )
    return min(max(value, low), high)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
