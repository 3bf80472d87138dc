"""What is found of maps on partly covered objects: numbers with intervals, a line, a table."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl_abn.estimates import Estimate, clustered_mean
from rl_abn.explain.certificate import Line, percent
from rl_abn.explain.report import Block, Chart, Table
from rl_abn.vision.detection.map_mass import OCCLUDED_BELOW
from rl_abn.vision.detection.visible_parts import ANOTHER, EVEN, GRAD_CAM, MAP, VisibleShares


class VisibleFound(NamedTuple):
    """Of n occluded objects, over their pictures.

    Attributes:
        n: How many objects.
        shares: By map: share of its mass on the visible part.
        above: The studied map minus each other, object by object.
    """

    n: int
    shares: dict[str, Estimate]
    above: dict[str, Estimate]

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        return {
            "n": self.n,
            "shares": {name: share._asdict() for name, share in self.shares.items()},
            "above": {name: difference._asdict() for name, difference in self.above.items()},
        }


def visible_found(measured: VisibleShares, primary: str) -> VisibleFound | None:
    """Estimates the shares, with intervals over pictures; None where no object is occluded.

    Args:
        measured: The shares.
        primary: The studied map: the detector's own, or Grad-CAM where it has none.
    """
    shares, pictures = measured.shares, measured.pictures
    if not len(pictures):
        return None
    order = [name for name in (primary, EVEN, ANOTHER, GRAD_CAM) if name in shares]
    own = shares[primary]
    return VisibleFound(
        len(pictures),
        {name: clustered_mean(shares[name], pictures) for name in dict.fromkeys(order)},
        {name: clustered_mean(own - shares[name], pictures) for name in order if name != primary},
    )


def visible_line(found: VisibleFound | None, primary: str) -> Line:
    """Says whether the map lies on what can be seen of an object that something covers.

    Args:
        found: The numbers; None where no object is occluded.
        primary: The studied map.
    """
    if found is None:
        return Line("objects", "not asked", "No object of these pictures is known to be covered.")
    even, another = found.above[EVEN], found.above.get(ANOTHER)
    text = (
        f"Of {found.n:,} objects that something covers, {percent(found.shares[primary])} of "
        f"{_name(primary)}'s mass lies on the visible part, an even map's "
        f"{percent(found.shares[EVEN])}: {_points(even)} points"
    )
    if another is not None:
        text += f"; beside another object's map {_points(another)}"
    if GRAD_CAM in found.above:
        text += f"; beside Grad-CAM {_points(found.above[GRAD_CAM])}"
    text += "."
    if even.low is None:
        return Line("objects", "unclear", f"{text} There are too few pictures for intervals.")
    if not even.is_above(0):
        return Line("objects", "no", text)
    follows = another is None or another.is_above(0)
    text += "" if follows else " Another object's map lies there as much: it does not follow it."
    return Line("objects", "yes" if follows else "partly", text)


def visible_blocks(found: VisibleFound | None, primary: str) -> list[Block]:
    """Returns the table and the chart; none where no object is occluded.

    Args:
        found: The numbers.
        primary: The studied map.
    """
    if found is None:
        return []
    rows: list[tuple[str, list[Estimate | float | str | None]]] = [
        (_shown(name), [share.each(_percent), _times(found.above.get(name))])
        for name, share in found.shares.items()
    ]
    return [
        Table(
            "Mass on the visible part of covered objects",
            f"Of {found.n:,} objects of whose boxes less than {OCCLUDED_BELOW:.0%} can be seen, in "
            "their true boxes. In percent of each map's mass; an even map's share is the visible "
            "part's share of the box. The last column is the studied map minus this one, object by "
            "object; intervals are over pictures.",
            ("map", "on the visible part, %", "studied map minus this"),
            rows,
            ".1f",
            first_is_studied=True,
        ),
        Chart(
            "The studied map minus each other",
            "In percentage points of mass on the visible part; right of 0 the studied map lies "
            "there more.",
            [
                (_shown(name), "control" if name in (EVEN, ANOTHER) else "rival", of.each(_percent))
                for name, of in found.above.items()
            ],
            "percentage points",
            form=".1f",
        ),
    ]


def _points(difference: Estimate) -> str:
    return format(difference.each(_percent), "+.1f")


def _percent(share: float) -> float:
    return 100.0 * share


def _times(difference: Estimate | None) -> Estimate | None:
    return None if difference is None else difference.each(_percent)


def _name(primary: str) -> str:
    return "the map" if primary == MAP else "Grad-CAM"


def _shown(name: str) -> str:
    return name.replace("_", " ")
