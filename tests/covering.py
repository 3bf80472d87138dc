"""The quick part of a product of cases: every value once; the other cases run with --all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest


def covering(cases: Iterable[Any]) -> list[Any]:
    """Marks as `full` all but a few cases, chosen so that every value still occurs in one.

    A case is a tuple of arguments, or a single value. The choice is greedy and depends on the
    cases alone: next comes the case with the most values that no chosen one has, then the one
    whose values were chosen least often, then the first.

    Returns:
        The cases in their order, to be passed to `pytest.mark.parametrize`.
    """
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    missing = {value for row in rows for value in enumerate(row)}
    used: Counter[tuple[int, Any]] = Counter()
    chosen: set[int] = set()
    while missing:
        best = max(
            range(len(rows)),
            key=lambda i: (
                len(missing.intersection(enumerate(rows[i]))),
                -sum(used[value] for value in enumerate(rows[i])),
                -i,
            ),
        )
        chosen.add(best)
        missing.difference_update(enumerate(rows[best]))
        used.update(enumerate(rows[best]))
    return [
        pytest.param(*row, marks=() if i in chosen else pytest.mark.full)
        for i, row in enumerate(rows)
    ]
