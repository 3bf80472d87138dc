"""Which cases run when: in the quick set, with --more, or with --all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def more(*cases: Any) -> list[Any]:
    """Marks cases as `more`, for beside the one that stays in the quick set."""
    return _marked(cases, pytest.mark.more)


def full(*cases: Any) -> list[Any]:
    """Marks cases as `full`, for beside those that run with --more."""
    return _marked(cases, pytest.mark.full)


def _marked(cases: Iterable[Any], mark: pytest.MarkDecorator) -> list[Any]:
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*row, marks=mark) for row in rows]


def covering(
    cases: Iterable[Any], quick: Callable[[tuple[Any, ...]], bool] = lambda _: True
) -> list[Any]:
    """Marks as `full` all but a few cases, chosen so that every value still occurs in one.

    A case is a tuple of arguments, or a single value. The choice is greedy and depends on the
    cases alone: next comes the case with the most values that no chosen one has, then the one
    whose values were chosen least often, then the first.

    Args:
        cases: All of them.
        quick: Which of the chosen ones are in the quick set; the others of them are `more`.

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
    marks = [
        pytest.mark.full if i not in chosen else () if quick(row) else pytest.mark.more
        for i, row in enumerate(rows)
    ]
    return [pytest.param(*row, marks=mark) for row, mark in zip(rows, marks, strict=True)]
