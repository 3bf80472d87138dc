"""A sweep's report as text."""

from __future__ import annotations

from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rl_abn.estimates import Estimate
from rl_abn.sweep.report.report import AGENT, EVAL, Report

_Noted = tuple[Table, list[str]]  # and the notes below it
_WIDTH = 118
_MEASURES = {"final": "final training return", "eval": "evaluation"}


def report_text(report: Report, width: int = _WIDTH) -> str:
    """Returns the tables of a report, as text of a width in characters."""
    console = Console(file=StringIO(), width=width, highlight=False, color_system=None)
    state = "all finished" if report.n_trained == report.n_units else "the sweep is unfinished"
    console.print(
        f"{report.name}: {report.n_trained} of {report.n_units} trainings; {state}", markup=False
    )
    tables = [_arms(report), _controls(report)]
    tables += [_aggregates(report)] if report.aggregates else []
    tables += [_comparisons(report)] if report.comparisons else []
    for table, notes in (found for found in tables if found[0].row_count):
        console.print(table)
        for note in notes:
            console.print(note, markup=False)
        console.print()
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _arms(report: Report) -> _Noted:
    has_scores = any(row.scores for row in report.rows)
    notes = [
        "means over finished seeds; [ ]: 95% bootstrap interval over seeds, none for a single run",
        "final: return of the final 100 training games; AUC: mean return over the training",
    ]
    if has_scores:
        notes.append("score: mean raw score of the evaluation's games")
    table = _table("arms")
    for heading in ("game", "arm", "seeds"):
        table.add_column(heading, no_wrap=heading != "game", overflow="fold")
    for heading in ("final", "AUC", *(["score"] if has_scores else [])):
        table.add_column(heading, justify="right", overflow="fold")
    for row in report.rows:
        cells = [row.arm.game, row.arm.label, row.arm.said, _said(row.final), _said(row.area)]
        cells += [_said(row.scores.get(AGENT))] if has_scores else []
        table.add_row(*map(Text, cells))
    return table, notes


def _controls(report: Report) -> _Noted:
    """Returns what says whether the agents use their maps and eyes; empty where nothing does."""
    notes = []
    table = _table("maps and sight")
    for heading in ("game", "arm", "measure"):
        table.add_column(heading, no_wrap=heading == "arm", overflow="fold")
    table.add_column("value", justify="right", overflow="fold")
    for row in report.rows:
        others = {player: score for player, score in row.scores.items() if player != AGENT}
        lines = [(f"score, {player}", _said(score)) for player, score in others.items()]
        lines += [(f"map reliance, {how}", f"{kl:.3f}") for how, kl in row.reliance.items()]
        for i, line in enumerate(lines):
            name = ("", "") if i else (row.arm.game, row.arm.label)
            table.add_row(*map(Text, (*name, *line)))
    if any(len(row.scores) > 1 for row in report.rows):
        notes.append("score: of the agent with other maps, blind, or of a random player")
    if any(row.reliance for row in report.rows):
        notes.append("map reliance: KL in nats of the policy from that with other maps")
    return table, notes


def _aggregates(report: Report) -> _Noted:
    notes = [
        "IQM: mean of the middle half of all runs of all games (Agarwal et al. 2021); no interval "
        "where a game has a single run",
    ]
    if any(aggregate.scale == "human-normalised" for aggregate in report.aggregates):
        notes.append("human-normalised: 0 is a random player, 1 a person")
    table = _table("over all games")
    for heading in ("arm", "of", "scale", "runs", "IQM"):
        table.add_column(heading, justify="right" if heading in ("runs", "IQM") else "left")
    for found in report.aggregates:
        runs = f"{found.n_runs} on {found.n_games} game{'s' if found.n_games > 1 else ''}"
        digits = ".3f" if found.scale == "human-normalised" else ".1f"
        cells = found.label, _MEASURES[found.measure], found.scale, runs, f"{found.iqm:{digits}}"
        table.add_row(*map(Text, cells))
    return table, notes


def _comparisons(report: Report) -> _Noted:
    notes = [
        "how probably a run of the first scores more than a run of the second on the same game;",
        "0.5 says that neither is better (Agarwal et al. 2021)",
    ]
    table = _table("probability of improvement")
    for heading in ("arm", "over", "of", "games", "probability"):
        table.add_column(heading, justify="right" if heading == "probability" else "left")
    # What matters most first, where both are known.
    for found in sorted(report.comparisons, key=lambda comparison: comparison.measure != EVAL):
        games = ", ".join(found.games)
        cells = found.label, found.other, _MEASURES[found.measure], games
        table.add_row(*map(Text, (*cells, f"{found.probability:.2f}")))
    return table, notes


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))


def _said(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate:.1f}"
