"""The agents of a campaign in their small form, as `rl-abn export RUN FOLDER` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rl_abn.errors import RlAbnError, warn
from rl_abn.rl.evaluation.card import evaluations_of
from rl_abn.rl.interchange.folder_export import export_folder
from rl_abn.runs import Run
from rl_abn.sweep.plan import Plan, Unit

AGENTS = "agents"


def agent_folder(work: Path, plan: Plan, unit: Unit) -> Path:
    """Returns where a unit's agent is exported to."""
    return work / AGENTS / plan.name / f"{unit.env_name}-{unit.label}-seed-{unit.seed}"


def export_agents(plans: Sequence[Plan], work: Path) -> dict[str, Path]:
    """Exports the newest checkpoint of every training that has one, where that is not done.

    Returns:
        The folders of all agents that there are, by sweep and unit.
    """
    found = {}
    for plan in plans:
        for unit in plan.units:
            folder = agent_folder(work, plan, unit)
            try:
                _export(plan.out / unit.name, folder)
            except RlAbnError as error:
                warn(f"{unit.name} is not exported: {error}")
            if folder.is_dir():
                found[f"{plan.name}/{unit.name}"] = folder
    return found


def _export(run_folder: Path, folder: Path) -> None:
    if not run_folder.is_dir() or not (run := Run.open(run_folder)).checkpoints:
        return
    newest = run.checkpoint()
    with suppress(RlAbnError):
        there = Run.open(folder)
        names = [[path.name for path in evaluations_of(each, newest.step)] for each in (run, there)]
        if there.checkpoint().step == newest.step and names[0] == names[1]:
            return
    export_folder(run, folder, on_exists="overwrite")
