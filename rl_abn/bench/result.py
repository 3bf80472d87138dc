"""A benchmark's result: all measurements, and their summary per row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl_abn.bench.contenders import Contender
from rl_abn.bench.spec import Measured, Measurement, Record
from rl_abn.bench.statistics import Spread, ratios
from rl_abn.recipes.overrides import validate
from rl_abn.runs import read_json, write_output


class Result(Record):
    """All measurements of a benchmark.

    Attributes:
        format: Marks a file as a benchmark result.
        machine: Where it ran, see `describe_machine`.
        repeats: Rounds requested.
        contenders: The rows.
        measurements: All measurements, in the order they were taken.
        interrupted: Whether it was stopped early.
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
            RlAbnError: If the file contains none.
        """
        data = read_json(path)
        data.pop("summary", None)
        return validate(cls, data, str(path))

    def write(self, path: Path) -> None:
        """Writes the result as JSON, with every row's summary for other programs.

        Raises:
            RlAbnError: If the file cannot be written.
        """
        rows = {contender.name: _plain(self.row(contender)) for contender in self.contenders}
        write_output(path, {**self.model_dump(mode="json"), "summary": rows})

    def of(self, name: str) -> dict[int, Measured]:
        """Returns a row's measurements, by round."""
        found = (m for m in self.measurements if m.row == name)
        return {m.round: m.measured for m in found if m.measured is not None}

    def row(self, contender: Contender) -> Row:
        """Summarises a row's measurements."""
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
    """The summary of a row's measurements.

    Attributes:
        sps: Agent steps per second.
        ratios: Speed relative to each measured baseline, computed within each round.
        peak_rss_mib: Highest peak memory of its processes, MiB.
        peak_cuda_mib: Highest peak memory of PyTorch on the GPU, MiB, or None.
        shares: Mean share of the time per phase; empty for an emulator alone.
        logging_cost: Share of a whole training spent on logging, or None.
        failure: Why nothing was measured, or None.
        n_failed: Number of failed measurements.
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
    """Turns named tuples into dictionaries, recursively."""
    if isinstance(value, Row | Spread):
        return _plain(value._asdict())
    return {key: _plain(v) for key, v in value.items()} if isinstance(value, dict) else value
