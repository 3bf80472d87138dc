"""Tables of the vision track for people."""

from __future__ import annotations

from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rl_abn.estimates import Estimate
from rl_abn.vision.evaluation.evaluate import VisionEvaluation
from rl_abn.vision.tasks import column_of

_UNBOUNDED = 10_000  # characters


class _Column(NamedTuple):
    heading: str
    cells: list[str]


def vision_tables(result: VisionEvaluation, console: Console) -> list[Table]:
    """Lays an evaluation out: a line a branch, an ablated network or a baseline.

    Columns that do not fit beside the others stand in a table below.

    Args:
        result: The evaluation.
        console: Where it is printed.
    """
    groups: list[list[_Column]] = [[]]
    unbounded = console.options.update(width=_UNBOUNDED)
    for column in _columns(result):
        wider = _table(result, [*groups[-1], column])
        if groups[-1] and console.measure(wider, options=unbounded).maximum > console.width:
            groups.append([])
        groups[-1].append(column)
    tables = [_table(result, group) for group in groups]
    split = result.split.replace("_", " ")
    tables[0].title = f"{result.title}, {split}, {result.n:,} pictures, epoch {result.step}"
    return tables


def _columns(result: VisionEvaluation) -> list[_Column]:
    rows = result.rows
    names = list(dict.fromkeys(name for row in rows for name in row.numbers))
    columns = [
        _Column(column_of(name).heading, [shown(name, row.numbers.get(name)) for row in rows])
        for name in names
    ]
    if any(row.difference is not None for row in rows):
        cells = [shown(names[0], row.difference, signed=True) for row in rows]
        columns.insert(1, _Column("difference", cells))
    if any(row.stayed is not None for row in rows):
        cells = ["" if row.stayed is None else f"{row.stayed:.1%}" for row in rows]
        columns.append(_Column("stayed", cells))
    return columns


def _table(result: VisionEvaluation, columns: list[_Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("answers of", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", overflow="fold")
    for i, row in enumerate(result.rows):
        table.add_row(row.name, *(Text(column.cells[i]) for column in columns))
    return table


def shown(name: str, number: Estimate | None, *, signed: bool = False) -> str:
    """Returns a number with its interval: shares in per cent and others as they are."""
    if number is None:
        return ""
    sign = "+" if signed else ""
    if column_of(name).share:
        return f"{number.each(lambda share: 100 * share):{sign}.2f}"
    return f"{number:{sign}.4f}"


def captions_of(result: VisionEvaluation) -> list[str]:
    """Returns the lines that stand below an evaluation's tables."""
    columns = [column_of(name) for row in result.rows for name in row.numbers]
    captions = ["the perception branch's answer is the network's"]
    if any(column.along_drive for column in columns):
        captions.append("[ ]: 95% interval, blocks of 50 frames drawn again")
    else:
        captions.append("[ ]: 95% interval over the pictures of one trained network")
    if any(row.intervention for row in result.rows):
        captions.append("difference: of the first number to the intact network's, paired")
    return captions
