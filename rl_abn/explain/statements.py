"""What explanations of both tracks say alike: five lines, what was asked, examples, caveats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import (
    Certificate,
    Lost,
    better_line,
    objects_line,
    right_line,
    sane_line,
    used_line,
)
from rl_abn.explain.findings import Findings
from rl_abn.explain.report import Picture
from rl_abn.explain.study import Study, Thoroughness


def certificate_of(
    found: Findings,
    lost: Sequence[Lost],
    *,
    kl: Mapping[str, Estimate] | None,
    sees: bool | None = None,
    lifts: Mapping[str, tuple[Estimate, Estimate]] | None = None,
    what: str = "score",
    is_error: bool = False,
) -> Certificate:
    """Returns the five lines.

    Args:
        found: What the study of maps found.
        lost: As `used_line` takes it, as are `sees`, `kl`, `what` and `is_error`.
        kl: On fixed pictures.
        sees: Of an agent.
        lifts: As `objects_line` takes it; None where no objects are known.
        what: What is scored.
        is_error: Whether less of it is better.
    """
    return Certificate(
        (
            used_line(lost, sees, kl, what, is_error=is_error),
            right_line(found),
            better_line(found),
            objects_line(lifts or {}),
            sane_line(found),
        )
    )


def asked_of(tested: Study, how: Thoroughness, seed: int, *, quick: bool) -> dict[str, str]:
    """Returns what was asked of the maps, by name."""
    rows, columns = tested.maps[tested.primary].shape[1:]
    return {
        "studied map": tested.primary,
        "grid": f"{rows}×{columns} cells, the same for every map",
        "substrates": ", ".join(how.substrates),
        "seed": str(seed),
        "extent": "quick" if quick else "full",
    }


def examples(title: str, png: bytes) -> Picture:
    """Returns a picture of maps on one scale, as `example_sheet` draws it."""
    says = (
        "Every map on one scale, as multiples of an even map; what is below 0 is shown as 0. "
        "Chosen by their numbers, not by how they look."
    )
    return Picture(title, says, png)


def removal_caveat(pictures: str) -> str:
    """Returns what removal does not show.

    Args:
        pictures: What is shown to the network, such as "pictures".
    """
    return (
        f"Removal makes {pictures} that the network never saw, whatever stands in the gap; that is "
        "why several substrates are used and controls are shown."
    )


def interval_caveat(over: str) -> str:
    """Returns what intervals do not contain.

    Args:
        over: What they are over, such as "pictures of one trained network".
    """
    return (
        f"Intervals are over {over}. They contain no variation over training seeds, and each "
        "covers 95% on its own."
    )


def quick_caveat(few: str) -> str:
    """Returns what a quick explanation lacks.

    Args:
        few: What there are few of.
    """
    return (
        f"Made with --quick: few {few}, and F-Fidelity (removal on a copy that was fine-tuned "
        "under masks) was left out. Without it the intervals shrink."
    )
