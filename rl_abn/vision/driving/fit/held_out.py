"""How far networks are from the driver on frames of the log that they did not learn from."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl_abn.estimates import Estimate
from rl_abn.files.parts import Part, Parts
from rl_abn.vision.driving.fit.networks import Fitted
from rl_abn.vision.evaluation.evaluate import evaluate_run


class HeldOut(NamedTuple):
    """Scores on the held-out frames of the log.

    Attributes:
        n: Frames.
        rows: Whose numbers, and the numbers by name; the first network's first, those that need no
            network last.
    """

    n: int
    rows: list[tuple[str, dict[str, Estimate]]]

    def as_json(self) -> dict[str, Any]:
        """Returns plain data."""
        rows = {
            name: {what: number._asdict() for what, number in numbers.items()}
            for name, numbers in self.rows
        }
        return {"frames": self.n, "rows": rows}


def held_out_scores(parts: Parts, networks: list[Fitted], device: str) -> HeldOut:
    """Scores networks, each with its branches, and what is said without a network.

    Args:
        parts: Where finished ones are kept.
        networks: Whose.
        device: Where they run.

    Raises:
        RlAbnError: If the log cannot be read.
    """
    rows: list[tuple[str, dict[str, Estimate]]] = []
    without: list[tuple[str, dict[str, Estimate]]] = []
    n = 0
    for fitted in networks:
        found = parts.do(
            f"held-out-{fitted.weights[:12]}",
            lambda fitted=fitted: _scored(fitted, device),  # type: ignore[misc]
            weights=fitted.weights,
            log=str(fitted.log.resolve()),
        ).result
        n = found["n"]
        scored = [
            (row["name"], {what: Estimate(**number) for what, number in row["numbers"].items()})
            for row in found["rows"]
        ]
        of_network = [row for row in scored if row[0].endswith("branch")]
        rows += [(_named(fitted.name, name), numbers) for name, numbers in of_network]
        without = [row for row in scored if not row[0].endswith("branch")]
    return HeldOut(n, rows + without)


def _scored(fitted: Fitted, device: str) -> Part:
    found = evaluate_run(fitted.run, data=fitted.log, split="held_out", device=device)
    found.keep(fitted.run)
    return Part({"n": found.n, "rows": [row.as_json() for row in found.rows]}, {})


def _named(network: str, branch: str) -> str:
    return f"{network}, its attention branch alone" if branch == "attention branch" else network
