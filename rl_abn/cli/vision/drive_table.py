"""The table of a closed loop for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rl_abn.cli.stacked import Column, stacked
from rl_abn.vision.driving.carracing.looks import PLAIN
from rl_abn.vision.driving.closed_loop import ClosedLoop


def drive_tables(result: ClosedLoop, console: Console) -> list[Table]:
    """Lays drives out, a line a driver; no autonomy where nobody is put back.

    Args:
        result: The drives.
        console: Where they are printed.
    """
    tracks, rules = result.tracks, result.rules
    which = f"track {tracks[0]}" if len(tracks) == 1 else f"tracks {tracks[0]} to {tracks[-1]}"
    look = "" if rules.look == PLAIN else f" {rules.look}"
    names = [driven.contender.name for driven in result.drivers]
    tables = stacked("driver", names, _columns(result), console)
    tables[0].title = f"CarRacing-v3{look}, {which}, at most {rules.max_steps:,} steps"
    return tables


def captions_of(result: ClosedLoop) -> list[str]:
    """Returns the lines that stand below the tables of drives."""
    rules, is_single = result.rules, len(result.drivers) == 1
    lines = ["[ ]: 95% interval over the tracks; laps: done in time"]
    if not is_single:
        lines[0] += "; each network is one training's"
    if rules.off_road_s is None:
        lines.append("nobody is put back on the road: scores are the plain environment's")
    else:
        lines.append(
            f"put back: after {rules.off_road_s:g} s off the road; autonomy: share of the time "
            f"driven alone, {rules.penalty_s:g} s"
        )
        lines.append("for each time put back; scores go on counting after it")
    if not is_single:
        lines.append(f"difference: of the score to {result.drivers[0].contender.name}'s, paired")
    return lines


def _columns(result: ClosedLoop) -> list[Column]:
    said = [driven.summary for driven in result.drivers]
    columns = [Column("score", [f"{of.score:.0f}" for of in said])]
    if len(said) > 1:
        differences = [driven.difference for driven in result.drivers]
        cells = ["" if of is None else f"{of:+.0f}" for of in differences]
        columns.append(Column("difference", cells))
    columns += [
        Column("laps", [f"{of.n_finished}/{of.n_tracks}" for of in said]),
        Column("completed, %", [f"{of.completed.each(_per_cent):.1f}" for of in said]),
    ]
    if result.rules.off_road_s is not None:
        columns += [
            Column("autonomy, %", [f"{of.autonomy.each(_per_cent):.1f}" for of in said]),
            Column("put back", [str(of.n_interventions) for of in said]),
        ]
    return columns


def _per_cent(share: float) -> float:
    return 100 * share
