"""Medians of repeated measurements, and ratios within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self


class Spread(NamedTuple):
    """Median, lowest and highest of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self | None:
        """Returns the spread of some numbers, None if there are none."""
        found = sorted(numbers)
        return cls(statistics.median(found), found[0], found[-1]) if found else None


def ratios(row: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """Divides a row's numbers by its baseline's of the same round.

    The speed of a shared machine drifts slowly compared with a round, so these ratios vary less
    than a ratio of two medians. Rounds missing in one of them are left out.
    """
    return [row[r] / baseline[r] for r in sorted(row.keys() & baseline.keys())]
