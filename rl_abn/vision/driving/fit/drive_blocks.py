"""Drives as they stand in a report."""

from __future__ import annotations

from rl_abn.estimates import Estimate
from rl_abn.explain.report import Block, Chart, Table
from rl_abn.vision.driving.closed_loop import ClosedLoop, Driven


def drive_blocks(result: ClosedLoop) -> list[Block]:
    """Returns the table of drivers and charts of their scores."""
    drivers, first = result.drivers, result.drivers[0]
    rules = result.rules
    table = Table(
        "Drives",
        f"At most {rules.max_steps:,} steps each, intervals over the tracks. Who is off the road "
        f"for {rules.off_road_s:g} s is put back on it, and the score goes on counting: read it "
        "beside how often that was. The difference is of the score to the first row's on the same "
        "tracks.",
        ("driver", "score", "difference", "completed, %", "autonomy, %", "put back", "laps"),
        [(driven.contender.name, _cells(driven)) for driven in drivers],
        ".0f",
        first_is_studied=True,
    )
    scores = Chart(
        "Score",
        "1000 for the whole track less 0.1 a step.",
        [(driven.contender.name, "own", driven.summary.score) for driven in drivers],
        zero=None,
        form=".0f",
    )
    beside = Chart(
        f"Score beside {first.contender.name}'s",
        "Paired by track; left of 0 is worse than it.",
        [
            (driven.contender.name, "own", driven.difference)
            for driven in drivers
            if driven.difference is not None
        ],
        form="+.0f",
    )
    return [table, scores, beside]


def _cells(driven: Driven) -> list[Estimate | float | str | None]:
    summary = driven.summary
    return [
        summary.score,
        None if driven.difference is None else f"{driven.difference:+.0f}",
        f"{summary.completed.each(_per_cent):.1f}",
        f"{summary.autonomy.each(_per_cent):.1f}",
        str(summary.n_interventions),
        f"{summary.n_finished} of {summary.n_tracks}",
    ]


def _per_cent(share: float) -> float:
    return 100 * share
