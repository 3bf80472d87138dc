"""Tables for people."""

from __future__ import annotations

from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from rl_abn.bench.sheets import Sheet
from rl_abn.rl.evaluate import RunEvaluation


def evaluation_table(result: RunEvaluation) -> Table:
    """Lays an evaluation out: a line a player."""
    first = result.evaluations[0]
    table = Table(
        title=f"{result.game}, {first.protocol} protocol, {first.n_actions} actions, "
        f"{'greedy' if first.greedy else 'stochastic'}, cap {first.max_frames:,} frames",
        caption="raw scores of whole games; [ ]: 95% bootstrap interval over the games\n"
        "HNS: human-normalised score, 0 is a random player, 1 a person",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for heading in ("player", "games", "mean", "IQM", "min to max", "HNS"):
        # Where a terminal is too narrow, numbers go on in the next line; none is cut off.
        whole = heading in ("player", "games", "HNS")
        justify: Literal["left", "right"] = "left" if heading == "player" else "right"
        table.add_column(heading, justify=justify, no_wrap=whole, overflow="fold")
    for evaluation in result.evaluations:
        scores = [game.score for game in evaluation.games]
        table.add_row(
            Text(evaluation.player),
            str(len(scores)),
            Text(str(evaluation.mean)),
            Text(str(evaluation.iqm)),
            f"{min(scores):.0f} to {max(scores):.0f}",
            f"{evaluation.human_normalised:.3f}",
        )
    return table


def sheet_table(sheet: Sheet) -> Table:
    """Lays one of a benchmark's tables out."""
    table = Table(
        title=sheet.title,
        caption="\n".join(sheet.notes) or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for i, heading in enumerate(sheet.headings):
        table.add_column(heading, justify="left" if i < 2 else "right", no_wrap=i == 0)
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    return table
