"""Tables for people."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from rl_abn.rl.evaluate import RunEvaluation


def evaluation_table(result: RunEvaluation) -> Table:
    """Lays an evaluation out: a line a player."""
    first = result.evaluations[0]
    table = Table(
        title=f"{result.game}, {first.protocol} protocol, {first.n_actions} actions, "
        f"cap {first.max_frames:,} frames",
        caption="raw scores of whole games; in brackets 95% bootstrap intervals; "
        "human-normalised: 0 random, 1 a person",
    )
    for heading in ("player", "games", "mean", "IQM", "min", "max", "human-normalised", "cut off"):
        table.add_column(heading, justify="left" if heading == "player" else "right")
    for evaluation in result.evaluations:
        scores = [game.score for game in evaluation.games]
        table.add_row(
            escape(evaluation.player) + (" (greedy)" if evaluation.greedy else ""),
            str(len(scores)),
            str(evaluation.mean),
            str(evaluation.iqm),
            f"{min(scores):.0f}",
            f"{max(scores):.0f}",
            f"{evaluation.human_normalised:.3f}",
            str(sum(game.truncated for game in evaluation.games)),
        )
    return table
