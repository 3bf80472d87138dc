"""Progress over parts that are unequally much work."""

from __future__ import annotations

from collections.abc import Mapping

from rl_abn.progress import ProgressReport

SHARES = 1000
"""What a progress display counts: thousandths of the work."""


class Work:
    """How much is done of several parts.

    Args:
        weights: About how much work each part is, by name, in any unit.
        report: Counts to `SHARES`; None shows nothing.
    """

    def __init__(self, weights: Mapping[str, int], report: ProgressReport | None) -> None:
        self._weights = dict(weights)
        self._total = max(1, sum(self._weights.values()))
        self._report = report
        self._finished: set[str] = set()
        self._inside = 0.0

    def tell(self, what: str, n: float) -> None:
        """Adds work that was done within the present part."""
        self.set(what, self._inside + n)

    def set(self, what: str, n: float) -> None:
        """Says how much of the present part is done."""
        self._inside = n
        self._show(what)

    def part_done(self, name: str, kept: bool) -> None:
        """Counts a part as finished; `kept` says that it was done before."""
        self._finished.add(name)
        self._inside = 0.0
        self._show(f"{name} (kept)" if kept else name)

    def finish(self) -> None:
        """Shows that everything is done; weights are only about right."""
        if self._report is not None:
            self._report.update(SHARES, part="all")

    def _show(self, what: str) -> None:
        if self._report is None:
            return
        done = sum(self._weights.get(name, 0) for name in self._finished) + self._inside
        self._report.update(min(SHARES - 1, int(SHARES * done / self._total)), part=what)
