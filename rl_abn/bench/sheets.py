"""A benchmark's result as text tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rl_abn.bench.contenders import GROUPS, Contender
from rl_abn.bench.machine import machine_line
from rl_abn.bench.phases import PHASES
from rl_abn.bench.result import Result, Row
from rl_abn.bench.statistics import Spread

NOTHING = "-"


class Sheet(NamedTuple):
    """A titled table of text with notes; the first two columns are names, the others numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sheets(result: Result) -> list[Sheet]:
    """Returns a result's tables: speeds per group, then the shares of the phases."""
    tables = []
    for group, title in GROUPS.items():
        found = [(c, result.row(c)) for c in result.contenders if c.group == group]
        if found:
            tables.append(_speeds(f"{group}: {title}", found))
    costs = tuple(
        (contender.name, contender.text, *(f"{row.shares[phase]:.0%}" for phase in PHASES))
        for contender in result.contenders
        if (row := result.row(contender)).shares
    )
    if costs:
        headings = ("row", "what it is", *PHASES)
        tables.append(Sheet("where the time goes", headings, costs))
    return tables


def listing(contenders: Sequence[Contender]) -> list[str]:
    """Returns a line a contender: its group, its name and what it is, in columns."""
    columns = [(contender.group, contender.name, contender.text) for contender in contenders]
    widths = [max((len(row[i]) for row in columns), default=0) for i in range(2)]
    return [f"{group:{widths[0]}}  {name:{widths[1]}}  {text}" for group, name, text in columns]


def markdown(result: Result) -> str:
    """Returns a result as Markdown."""
    return "\n".join(_markdown_lines(result))


def summary_lines(result: Result) -> list[str]:
    """Returns the lines above the tables."""
    return [
        machine_line(result.machine),
        f"{result.machine['command'] or 'in Python'}, {result.machine['started']}, "
        f"median of {result.repeats} [lowest to highest]; one step is four emulator frames"
        + ("; ended early" if result.interrupted else ""),
    ]


def _markdown_lines(result: Result) -> Iterator[str]:
    for line in summary_lines(result):
        yield f"- {line}"
    for sheet in sheets(result):
        yield ""
        yield f"### {sheet.title[0].upper()}{sheet.title[1:]}"
        yield ""
        yield _markdown_row(sheet.headings)
        yield _markdown_row(["---", "---", *["---:"] * (len(sheet.headings) - 2)])
        for row in sheet.rows:
            yield _markdown_row([f"`{row[0]}`", *row[1:]])
        for note in sheet.notes:
            yield ""
            yield note


def _markdown_row(words: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(word.replace('|', '/') for word in words)} |"


def _speeds(title: str, found: list[tuple[Contender, Row]]) -> Sheet:
    on_gpu = any(row.peak_cuda_mib is not None for _, row in found)
    compared = dict.fromkeys(name for _, row in found for name in row.ratios)
    headings = ["row", "what it is", "steps/s", *(f"× {name}" for name in compared), "MiB"]
    rows = []
    for contender, row in found:
        words = [contender.name, contender.text, row.failure or _spread(row.sps, ",.0f")]
        words += [_spread(row.ratios.get(name), ".2f") for name in compared]
        words.append(_number(row.peak_rss_mib))
        if on_gpu:
            words.append(_number(row.peak_cuda_mib))
        rows.append(tuple(words))
    notes = tuple(note for contender, row in found for note in _notes(contender, row))
    return Sheet(title, (*headings, *["GPU MiB"] * on_gpu), tuple(rows), notes)


def _notes(contender: Contender, row: Row) -> Iterator[str]:
    if row.failure is None and row.n_failed:
        yield f"{contender.name}: {row.n_failed} measurements failed."
    if row.logging_cost is not None:
        cost = _spread(row.logging_cost, ".2%")
        slower = [f", {1 - ratio.median:.1%} by steps/s" for ratio in row.ratios.values()]
        yield (
            f"{contender.name}: metrics, maps and checkpoints take {cost} of the time "
            f"by the clock{''.join(slower)}."
        )


def _spread(spread: Spread | None, form: str) -> str:
    if spread is None:
        return NOTHING
    middle, low, high = (format(number, form) for number in spread)
    return middle if low == high else f"{middle} [{low} to {high}]"


def _number(number: float | None) -> str:
    return NOTHING if number is None else f"{number:,.0f}"
