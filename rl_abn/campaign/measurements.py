"""The measurements of a campaign: speed and agreement, each kept as soon as it is taken."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rl_abn.bench.agreement import Agreement, measure_agreement
from rl_abn.bench.contenders import Contender, Setting, all_contenders, select
from rl_abn.bench.machine import describe_machine
from rl_abn.bench.result import Result
from rl_abn.bench.rounds import measure_in_turn
from rl_abn.campaign.recipe import AgreementTable, BenchTable
from rl_abn.compute.device import device_of
from rl_abn.compute.processor import usable_cores
from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.progress import ProgressReport

SECONDS_AROUND = 15.0
"""What a measurement of speed takes beside its own seconds: to load, and to warm up."""


def rows_of(table: BenchTable, device: str) -> tuple[Contender, ...]:
    """Returns the rows of a table.

    Raises:
        RlAbnError: If it names none, or there is no such device.
    """
    return _rows(table, str(device_of(device)), usable_cores())


def is_measured(file: Path, table: BenchTable) -> bool:
    """Says whether a file holds all rounds of a table, on whatever machine they were measured."""
    kept = _read(file)
    if kept is None or not kept.contenders:
        return False
    cores = kept.machine.get("cores")
    device = kept.contenders[0].spec.device
    try:
        rows = _rows(table, device, cores if type(cores) is int else 1)
    except RlAbnError:  # a row that the machine of the measurements did not have
        return False
    if [(row.name, row.spec) for row in rows] != [(row.name, row.spec) for row in kept.contenders]:
        return False
    taken = {(found.row, found.round) for found in kept.measurements}
    return all((row.name, number) in taken for row in rows for number in range(table.repeats))


def measure_speed(table: BenchTable, file: Path, device: str, ends_at: float) -> bool:
    """Goes on with the measurements of a table where they stopped; those of another machine go.

    Args:
        table: What to measure.
        file: Where they are kept, as `rl-abn bench --json` does.
        device: Where the networks run.
        ends_at: When to stop, by `time.monotonic`. None is begun that would not end before.

    Returns:
        Whether all are taken.

    Raises:
        RlAbnError: If a row or the device is wrong, or the file cannot be written.
    """
    rows, machine = rows_of(table, device), describe_machine(device_of(device))
    result, kept = Result(machine=machine, repeats=table.repeats, contenders=rows), _read(file)
    if kept is not None and (_place(kept.machine), kept.contenders) == (_place(machine), rows):
        result = kept.model_copy(update={"repeats": table.repeats, "interrupted": False})
    taken = {(found.row, found.round) for found in result.measurements}
    total = len(rows) * table.repeats
    with ProgressReport(file.stem, total, "measurements", start=len(taken)) as report:
        in_turn = measure_in_turn(rows, table.repeats, taken=taken)
        while len(result.measurements) < total:
            if time.monotonic() + table.seconds + SECONDS_AROUND > ends_at:
                return False
            found = next(in_turn)
            so_far = (*result.measurements, found)
            result = result.model_copy(update={"measurements": so_far})
            result.write(file)
            sps = f"{found.measured.sps:,.0f}" if found.measured else found.failure
            report.update(len(so_far), last=found.row, SPS=sps)
    return True


def is_checked(file: Path, table: AgreementTable) -> bool:
    """Says whether a file holds all checks of a table."""
    return all(agent in _checks(file, table) for agent in table.agents)


def check_agreement(table: AgreementTable, file: Path, device: str, ends_at: float) -> bool:
    """Checks the agents of a table that are not checked yet; returns whether all are.

    Args:
        table: Which agents.
        file: Where the results are kept.
        device: Where the networks run.
        ends_at: When to stop, by `time.monotonic`.

    Raises:
        RlAbnError: If the device is wrong or the file cannot be written.
    """
    device_of(device)
    checks = _checks(file, table)
    for agent in table.agents:
        if agent in checks:
            continue
        if time.monotonic() + SECONDS_AROUND > ends_at:
            return False
        checks[agent] = _checked(agent, device, table.set)
        write_output(file, {"set": list(table.set), "agents": checks})
        print(f"{file.stem}: {said_of(agent, checks[agent])}", flush=True)
    return True


def disagreements(file: Path, table: AgreementTable) -> dict[str, str]:
    """Returns the checks of a table that failed, a line each, by agent."""
    found = _checks(file, table).items()
    return {agent: said_of(agent, check) for agent, check in found if not check.get("agrees")}


def said_of(agent: str, check: dict[str, Any]) -> str:
    """Returns a check in a line."""
    if "failure" in check:
        return f"{agent}: cannot be checked: {check['failure']}"
    ratios = ", ".join(f"{name} {value:.1e}" for name, value in check["deviation"].items())
    verdict = "rollout and update agree" if check["agrees"] else "ROLLOUT AND UPDATE DIFFER"
    return (
        f"{agent}: {verdict} ({check['device']}, {check['precision']}): largest |ratio - 1| "
        f"{ratios}; {check['mixed_up']:.1e} with observations mixed up"
    )


def _checked(agent: str, device: str, settings: tuple[str, ...]) -> dict[str, Any]:
    try:
        found: Agreement = measure_agreement(agent, device, settings=settings)
    except (RlAbnError, RuntimeError) as error:  # a graph that cannot be recorded, say
        return {"failure": " ".join(str(error).split())[:500]}
    return {**found._asdict(), "agrees": found.agrees}


def _rows(table: BenchTable, device: str, cores: int) -> tuple[Contender, ...]:
    setting = Setting(device=device, seconds=table.seconds, settings=table.set, cores=cores)
    return tuple(select(all_contenders(setting), table.only))


def _checks(file: Path, table: AgreementTable) -> dict[str, Any]:
    """Returns the checks of a table's agents that a file holds, with the table's settings."""
    try:
        kept = read_json(file)
    except RlAbnError:
        return {}
    checks = kept.get("agents")
    if not isinstance(checks, dict) or kept.get("set") != list(table.set):
        return {}
    return {agent: checks[agent] for agent in table.agents if agent in checks}


def _read(file: Path) -> Result | None:
    try:
        return Result.read(file)
    except RlAbnError:
        return None


def _place(machine: dict[str, Any]) -> tuple[object, ...]:
    return tuple(machine.get(key) for key in ("cpu", "cores", "device_name"))
