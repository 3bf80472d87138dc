"""What a fit's report says of its methods and of what it does not show."""

from __future__ import annotations

from collections.abc import Sequence

from rl_abn.explain.statements import interval_caveat
from rl_abn.vision.driving.closed_loop import ClosedLoop
from rl_abn.vision.driving.fit.request import FitRequest

_CHANGES = {
    "zero": "the map is 0 everywhere",
    "uniform": "the map is flattened: its own mean in every place",
    "inverted": "the map is 1 minus itself",
    "shuffled": "the map's values stand in random places, drawn anew at every step",
    "shifted": "the map is moved by a third of the picture",
    "time_average": "the map is the mean of the maps so far",
    "swap": "the map is one of the drive's maps before",
    "frozen": "the map stays the track's first",
}


def methods_said(drives: ClosedLoop | None) -> list[tuple[str, str]]:
    """Returns a line on each thing that was measured."""
    said = [
        ("held out", "one contiguous part of the log, with a margin of frames beside it that are "
         "not learned from either; intervals from blocks of 50 frames"),
    ]  # fmt: skip
    if drives is None:
        return said
    changes = [driven.contender.intervention for driven in drives.drivers]
    return [
        ("score", "the environment's: 1000 for the whole track less 0.1 a step"),
        ("completed", "share of the track's tiles that a wheel touched"),
        (
            "autonomy",
            f"share of the time driven alone; each time put back is taken to cost "
            f"{drives.rules.penalty_s:g} s (Bojarski et al., 2016)",
        ),
        ("expert", "knows the track as numbers and sees no picture; the log is what it does"),
        *((f"maps {name}", _CHANGES[name]) for name in changes if name is not None),
        *said,
    ]


def caveats_said(request: FitRequest, notes: Sequence[str], *, has_map: bool) -> list[str]:
    """Returns what the report does not show.

    Args:
        request: What was asked for.
        notes: What is to be known of the drives.
        has_map: Whether the network has a map.
    """
    said = list(notes)
    said.append(interval_caveat("tracks, or frames, of one trained network each"))
    if has_map:
        said.append(
            "An intervention shows whether driving depends on this property of the map, not that "
            "the map is right because of what lies under it."
        )
    said.append(
        "Errors on held-out frames do not say how it drives: small ones add up, and take the car "
        "to where no frame of the log was."
    )
    if request.quick:
        said.append(
            "Made with --quick: a short log, few epochs and few tracks. A driver that fails here "
            "may do well with all of it."
        )
    said.append(
        "The explanation is the quick one: few frames, and no removal on a copy that was "
        "fine-tuned under masks. 'rl-abn vision explain' without --quick makes the whole one."
    )
    return said
