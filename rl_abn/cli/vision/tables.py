"""Tables of the vision track for people."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from rl_abn.estimates import Estimate
from rl_abn.vision.evaluation.evaluate import VisionEvaluation
from rl_abn.vision.tasks import column_of


def vision_table(result: VisionEvaluation) -> Table:
    """Lays an evaluation out: a line a branch, an ablated network or a baseline."""
    split = result.split.replace("_", " ")
    table = Table(
        title=f"{result.title}, {split}, {result.n:,} pictures, epoch {result.step}",
        caption="\n".join(_captions(result)),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    names = list(dict.fromkeys(name for row in result.rows for name in row.numbers))
    changed = any(row.difference is not None for row in result.rows)
    stayed = any(row.stayed is not None for row in result.rows)
    table.add_column("answers of", no_wrap=True)
    for name in names:
        table.add_column(column_of(name).heading, justify="right", overflow="fold")
    for there, title in ((changed, "difference"), (stayed, "stayed")):
        if there:
            table.add_column(title, justify="right", overflow="fold")
    for row in result.rows:
        cells = [shown(name, row.numbers.get(name)) for name in names]
        if changed:
            cells.append(shown(names[0], row.difference, signed=True))
        if stayed:
            cells.append("" if row.stayed is None else f"{row.stayed:.1%}")
        table.add_row(row.name, *map(Text, cells))
    return table


def shown(name: str, number: Estimate | None, *, signed: bool = False) -> str:
    """Returns a number with its interval: shares in per cent and others as they are."""
    if number is None:
        return ""
    sign = "+" if signed else ""
    if column_of(name).share:
        return f"{number.each(lambda share: 100 * share):{sign}.2f}"
    return f"{number:{sign}.4f}"


def _captions(result: VisionEvaluation) -> list[str]:
    columns = [column_of(name) for row in result.rows for name in row.numbers]
    captions = ["the perception branch's answer is the network's"]
    if any(column.along_drive for column in columns):
        captions.append("[ ]: 95% interval, blocks of 50 frames drawn again")
    else:
        captions.append("[ ]: 95% interval over the pictures of one trained network")
    if any(row.intervention for row in result.rows):
        captions.append("difference: of the first number to the intact network's, paired")
    return captions
