"""A benchmark's result: all that was measured, and what it comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl_abn.bench.contenders import Contender
from rl_abn.bench.spec import Measured, Measurement, Record
from rl_abn.bench.statistics import Spread, ratios
from rl_abn.recipes.overrides import validate
from rl_abn.runs import read_json, write_output


class Result(Record):
    """What a benchmark measured.

    Attributes:
        format: Says that a file is one of these.
        machine: Where it ran, as `describe_machine` says it.
        repeats: Rounds asked for.
        contenders: The rows.
        measurements: Every measurement, in the order they were taken.
        interrupted: Whether it was ended early.
    """

    format: Literal["rl-abn bench 1"] = "rl-abn bench 1"
    machine: dict[str, Any]
    repeats: int
    contenders: tuple[Contender, ...]
    measurements: tuple[Measurement, ...] = ()
    interrupted: bool = False

    @classmethod
    def read(cls, path: Path) -> Result:
        """Reads a result.

        Raises:
            RlAbnError: If the file holds none.
        """
        data = read_json(path)
        data.pop("summary", None)
        return validate(cls, data, str(path))

    def write(self, path: Path) -> None:
        """Writes the result as JSON, with every row's summary for other readers.

        Raises:
            RlAbnError: If the file cannot be written.
        """
        rows = {contender.name: _plain(self.row(contender)) for contender in self.contenders}
        write_output(path, {**self.model_dump(mode="json"), "summary": rows})

    def of(self, name: str) -> dict[int, Measured]:
        """Returns what was measured of a row, by round."""
        found = (m for m in self.measurements if m.row == name)
        return {m.round: m.measured for m in found if m.measured is not None}

    def row(self, contender: Contender) -> Row:
        """Sums a row up."""
        found = self.of(contender.name)
        sps = _sps(found)
        compared = {
            baseline: Spread.of(ratios(sps, _sps(self.of(baseline))))
            for baseline in contender.baselines
            if baseline != contender.name
        }
        costs = [m.logging_cost for m in found.values() if m.logging_cost is not None]
        cuda = [m.peak_cuda_mib for m in found.values() if m.peak_cuda_mib is not None]
        shares = [m.shares for m in found.values() if m.shares]
        failures = [m.failure for m in self.measurements if m.row == contender.name and m.failure]
        return Row(
            sps=Spread.of(sps.values()),
            ratios={name: spread for name, spread in compared.items() if spread is not None},
            peak_rss_mib=max((m.peak_rss_mib for m in found.values()), default=None),
            peak_cuda_mib=max(cuda, default=None),
            shares={key: sum(s[key] for s in shares) / len(shares) for key in shares[0]}
            if shares
            else {},
            logging_cost=Spread.of(costs),
            failure=failures[0] if failures and not found else None,
            n_failed=len(failures),
        )


class Row(NamedTuple):
    """What a row's measurements come to.

    Attributes:
        sps: Agent steps a second.
        ratios: Times each baseline's that was measured, each round for itself.
        peak_rss_mib: Highest peak memory of its processes, MiB.
        peak_cuda_mib: The same of PyTorch on the GPU, or None.
        shares: Mean shares of the time, by account; empty for an emulator alone.
        logging_cost: Share of a whole training that logging takes, or None.
        failure: Why nothing was measured, or None.
        n_failed: How many measurements failed.
    """

    sps: Spread | None
    ratios: dict[str, Spread]
    peak_rss_mib: float | None
    peak_cuda_mib: float | None
    shares: dict[str, float]
    logging_cost: Spread | None
    failure: str | None
    n_failed: int


def _sps(found: dict[int, Measured]) -> dict[int, float]:
    return {number: measured.sps for number, measured in found.items()}


def _plain(value: Any) -> Any:
    """Turns named tuples into objects, all the way down."""
    if isinstance(value, Row | Spread):
        return _plain(value._asdict())
    return {key: _plain(v) for key, v in value.items()} if isinstance(value, dict) else value
