"""The table of a closed loop for people."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from rl_abn.vision.driving.carracing.looks import PLAIN
from rl_abn.vision.driving.closed_loop import ClosedLoop

_HEADINGS = ("driver", "score", "completed, %", "autonomy, %", "put back", "laps", "difference")


def drive_table(result: ClosedLoop) -> Table:
    """Lays drives out, a line a driver; no autonomy where nobody is put back."""
    tracks, rules = result.tracks, result.rules
    alone, single = rules.off_road_s is None, len(result.drivers) == 1
    which = f"track {tracks[0]}" if len(tracks) == 1 else f"tracks {tracks[0]} to {tracks[-1]}"
    look = "" if rules.look == PLAIN else f" {rules.look}"
    left_out = {"difference"} if single else set()
    captions = ["[ ]: 95% interval over the tracks; laps: done in time"]
    if not single:
        captions[0] += "; each network is one training's"
    if alone:
        left_out |= {"autonomy, %", "put back"}
        captions.append("nobody is put back on the road: scores are the plain environment's")
    else:
        captions.append(
            f"put back: after {rules.off_road_s:g} s off the road; autonomy: share of the time "
            f"driven alone, {rules.penalty_s:g} s"
        )
        captions.append("for each time put back; scores go on counting after it")
    if not single:
        captions.append(f"difference: of the score to {result.drivers[0].contender.name}'s, paired")
    table = Table(
        title=f"CarRacing-v3{look}, {which}, at most {rules.max_steps:,} steps",
        caption="\n".join(captions),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    headings = [heading for heading in _HEADINGS if heading not in left_out]
    for heading in headings:
        table.add_column(
            heading, justify="left" if heading == "driver" else "right", overflow="fold"
        )
    for driven in result.drivers:
        summary = driven.summary
        cells = {
            "driver": driven.contender.name,
            "score": f"{summary.score:.0f}",
            "completed, %": f"{summary.completed.each(_per_cent):.1f}",
            "autonomy, %": f"{summary.autonomy.each(_per_cent):.1f}",
            "put back": str(summary.n_interventions),
            "laps": f"{summary.n_finished}/{summary.n_tracks}",
            "difference": "" if driven.difference is None else f"{driven.difference:+.0f}",
        }
        table.add_row(*(Text(cells[heading]) for heading in headings))
    return table


def _per_cent(share: float) -> float:
    return 100 * share
