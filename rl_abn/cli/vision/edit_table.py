"""The table of a fine-tuning to edited maps for people."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from rl_abn.cli.vision.tables import shown
from rl_abn.vision.tasks import column_of
from rl_abn.vision.training.edit_run import Edited


def edit_table(edited: Edited) -> Table:
    """Lays a fine-tuning out: a line a number of each branch, and the maps' distance below."""
    table = Table(
        title=f"{edited.n_edited:,} edited of {edited.run.recipe.env.title}, gamma "
        f"{edited.table.gamma:g}, {edited.table.epochs:,} epochs",
        caption="maps: mean distance to the edited ones, ||M' - M||; edited pictures are learned "
        "from\ndifference: of the first number, paired; [ ]: 95% interval",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for title in ("pictures", "answers of", "", "before", "after", "difference"):
        left = title in ("pictures", "answers of", "")
        table.add_column(title, justify="left" if left else "right", overflow="fold")
    for change in edited.changes:
        names = [name for name in change.before.numbers if column_of(name).brief]
        for i, name in enumerate(names):
            cells = (
                f"{change.n:,} {change.pictures}" if i == 0 else "",
                change.before.name if i == 0 else "",
                column_of(name).heading,
                shown(name, change.before.numbers[name]),
                shown(name, change.after.numbers[name]),
                shown(name, change.after.difference, signed=True) if i == 0 else "",
            )
            table.add_row(*map(Text, cells))
    before, after = (standing.map_loss for standing in edited.tuning)
    distances = (f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}")
    table.add_row(*map(Text, (f"{edited.n_edited:,} edited", "maps", "distance", *distances)))
    return table
