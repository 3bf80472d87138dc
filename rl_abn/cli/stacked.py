"""Tables that are too wide: columns that do not fit beside the others stand in a table below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000  # characters


class Column(NamedTuple):
    """A column of numbers: what stands above it, and a cell a row."""

    heading: str
    cells: Sequence[str]


def stacked(
    heading: str, names: Sequence[str], columns: Sequence[Column], console: Console
) -> list[Table]:
    """Lays columns out; every table begins with the rows' names, which are never broken.

    Args:
        heading: Above the names.
        names: Of the rows.
        columns: Of the numbers.
        console: Where they are printed.
    """
    groups: list[list[Column]] = [[]]
    unbounded = console.options.update(width=_UNBOUNDED)
    for column in columns:
        wider = _table(heading, names, [*groups[-1], column])
        if groups[-1] and console.measure(wider, options=unbounded).maximum > console.width:
            groups.append([])
        groups[-1].append(column)
    return [_table(heading, names, group) for group in groups]


def _table(heading: str, names: Sequence[str], columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column(heading, no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", overflow="fold")
    for i, name in enumerate(names):
        table.add_row(Text(name), *(Text(column.cells[i]) for column in columns))
    return table
