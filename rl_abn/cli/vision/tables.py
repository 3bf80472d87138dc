"""Tables of the vision track for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rl_abn.cli.stacked import Column, stacked
from rl_abn.estimates import Estimate
from rl_abn.vision.evaluation.evaluate import VisionEvaluation
from rl_abn.vision.tasks import column_of


def vision_tables(result: VisionEvaluation, console: Console) -> list[Table]:
    """Lays an evaluation out: a line a branch, an ablated network or a baseline.

    Args:
        result: The evaluation.
        console: Where it is printed.
    """
    names = [row.name for row in result.rows]
    tables = stacked("answers of", names, _columns(result), console)
    split = result.split.replace("_", " ")
    tables[0].title = f"{result.title}, {split}, {result.n:,} pictures, epoch {result.step}"
    return tables


def _columns(result: VisionEvaluation) -> list[Column]:
    rows = result.rows
    names = list(dict.fromkeys(name for row in rows for name in row.numbers))
    columns = [
        Column(column_of(name).heading, [shown(name, row.numbers.get(name)) for row in rows])
        for name in names
    ]
    if any(row.difference is not None for row in rows):
        cells = [shown(names[0], row.difference, signed=True) for row in rows]
        columns.insert(1, Column("difference", cells))
    if any(row.stayed is not None for row in rows):
        cells = ["" if row.stayed is None else f"{row.stayed:.1%}" for row in rows]
        columns.append(Column("stayed", cells))
    return columns


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
