"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from rl_abn.bench.sheets import Sheet
from rl_abn.estimates import Estimate
from rl_abn.rl.evaluation.results import Evaluation, RunEvaluation
from rl_abn.runs.origin import begun_with, taught_by


def score_form(means: Iterable[Estimate]) -> str:
    """Returns a table's format of scores: tenths only below 100, where they are not noise."""
    return ".0f" if max(abs(average.value) for average in means) >= 100 else ".1f"


def evaluation_table(result: RunEvaluation) -> Table:
    """Returns an evaluation's table: a row per player, with its difference to the intact agent."""
    first = result.intact
    title = (
        f"{result.game}, {first.protocol} protocol, {first.n_actions} actions, "
        f"{'greedy' if first.greedy else 'stochastic'}"
    )
    captions = [
        f"raw scores of whole games, cap {first.max_frames:,} frames; [ ]: 95% interval over games"
    ]
    normalised = first.human_normalised
    if result.intervened:
        # What is the same for all players makes room for the difference.
        title += f", {len(first.games)} games each"
        captions.append("difference: to the intact agent's mean, and as a share of it")
        headings = ["player", "mean", "IQM", "difference", "share"]
        if normalised is not None:
            captions.append(
                f"human-normalised score of {first.player}: {normalised:.3f} "
                "(0 is a random player, 1 a person)"
            )
    else:
        headings = ["player", "games", "mean", "IQM", "min to max"]
        if normalised is not None:
            headings += ["HNS"]
            captions.append("HNS: human-normalised score, 0 is a random player, 1 a person")
    if result.faithfulness:
        headings += ["KL", "agree"]
        captions.append(
            "KL (nats) of the agent from its teacher, and how often their likeliest actions agree"
        )
    if result.taught_by is not None:
        captions.append(taught_by(result.taught_by))
    if result.begun_with is not None:
        captions.append(begun_with(result.begun_with))
    table = Table(
        title=title,
        caption="\n" + "\n".join(captions),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for heading in headings:
        # In a narrow terminal numbers wrap into the next line; none is cut off.
        whole = heading in ("player", "games", "share", "HNS", "KL", "agree")
        justify: Literal["left", "right"] = "left" if heading == "player" else "right"
        table.add_column(heading, justify=justify, no_wrap=whole, overflow="fold")
    form = score_form(evaluation.mean for evaluation in result.evaluations)
    for evaluation in result.evaluations:
        cells = _cells(evaluation, form) | _faithful(result, evaluation)
        table.add_row(*(Text(cells[heading]) for heading in headings))
    return table


def _faithful(result: RunEvaluation, evaluation: Evaluation) -> dict[str, str]:
    """Returns the cells of a player's row that say how faithful the agent is on its games."""
    games = "teacher_games" if evaluation.is_teacher else "student_games"
    found = result.faithfulness.get(games)
    if found is None or not (evaluation.is_teacher or evaluation is result.intact):
        return {"KL": "", "agree": ""}
    return {"KL": f"{found.kl.value:.3f}", "agree": f"{found.agreement.value:.0%}"}


def _cells(evaluation: Evaluation, form: str) -> dict[str, str]:
    """Returns the possible cells of a player's row, by heading; `form` is that of scores."""
    scores, difference = evaluation.scores, evaluation.difference
    share = None if difference is None else difference.share
    normalised = evaluation.human_normalised
    return {
        "player": evaluation.player,
        "games": str(len(scores)),
        "mean": f"{evaluation.mean:{form}}",
        "IQM": f"{evaluation.iqm:{form}}",
        "min to max": f"{min(scores):.0f} to {max(scores):.0f}",
        "difference": "" if difference is None else f"{difference:{form}}",
        "share": "" if share is None else f"{share:+.0%}",
        "HNS": "" if normalised is None else f"{normalised:.3f}",
    }


def sheet_table(sheet: Sheet) -> Table:
    """Returns the table of a benchmark sheet."""
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
