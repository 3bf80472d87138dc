"""What of a campaign is packed, what matters most first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.campaign.pack import Bundle, files_below
from rl_abn.errors import RlAbnError
from rl_abn.runs import Checkpoint, Run
from rl_abn.sweep.drive import check_done
from rl_abn.sweep.exact import exact_checkpoints
from rl_abn.sweep.plan import PLAN, Plan, Unit
from rl_abn.sweep.status import beside, read_status
from rl_abn.sweep.unit import is_trained

if TYPE_CHECKING:
    from rl_abn.campaign.campaign import Campaign

_HEAVY = ("checkpoints", "tensorboard", "attention", "videos", "episodes")
"""Folders of a run that nothing needs to go on, or that only some of is needed."""


def bundles(campaign: Campaign, agents: Mapping[str, Path]) -> Iterator[Bundle]:
    """Yields the bundles of a campaign.

    Results come first, then finished trainings with the agents in their small form, then all that
    is needed to go on with the others, the farthest first, then the agents of those.

    Args:
        campaign: The campaign.
        agents: Folders of exported agents, by sweep and unit.
    """
    work = campaign.work
    results = [path for path in sorted(work.glob("*.json")) if path.is_file()]
    results += files_below(work / "reports")
    results += [plan.out / PLAN for plan, *_ in campaign.plans if (plan.out / PLAN).is_file()]
    yield Bundle("results", tuple(results))
    unfinished: list[tuple[Plan, Unit]] = []
    for plans in campaign.plans:
        plan = plans[0]
        for unit in plan.units:
            if not all(check_done(each, unit) for each in plans):
                unfinished.append((plan, unit))
                continue
            yield Bundle(f"{plan.name}/{unit.name}", (*_said(plan, unit), *_light(plan, unit)))
            yield from _agent(plan, unit, agents)
    unfinished.sort(key=lambda each: -read_status(each[0].out / each[1].name).step)
    for plan, unit in unfinished:
        checkpoint = _checkpoint(plan, unit)
        if checkpoint is not None:
            files = (*_said(plan, unit), *_light(plan, unit), *files_below(checkpoint.path))
            yield Bundle(f"{plan.name}/{unit.name}", files)
    for plan, unit in unfinished:
        yield from _agent(plan, unit, agents)


def _agent(plan: Plan, unit: Unit, agents: Mapping[str, Path]) -> Iterator[Bundle]:
    name = f"{plan.name}/{unit.name}"
    if name in agents:
        yield Bundle(f"agent of {name}", tuple(files_below(agents[name])))


def _said(plan: Plan, unit: Unit) -> Iterator[Path]:
    """Yields the files beside a run folder."""
    for kind in ("status.json", "unit.json"):
        if (path := beside(plan.out / unit.name, kind)).is_file():
            yield path


def _light(plan: Plan, unit: Unit) -> Iterator[Path]:
    return files_below(plan.out / unit.name, but=_HEAVY)


def _checkpoint(plan: Plan, unit: Unit) -> Checkpoint | None:
    """Returns the checkpoint that a training would go on from, or be evaluated at."""
    folder = plan.out / unit.name
    with suppress(RlAbnError):
        run = Run.open(folder)
        if is_trained(unit, folder):
            return run.checkpoint()
        there = exact_checkpoints(run) if unit.machine.exact else run.checkpoints
        if not unit.machine.exact:
            there = sorted([*there, *run.recoveries], key=lambda found: found.step)
        return there[-1] if there else None
    return None
