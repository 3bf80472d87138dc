"""Finds the run that `--on-exists resume` goes on with, and checks that it is the one asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError, say, warn
from rl_abn.files.text import read_json, write_output
from rl_abn.recipes import override
from rl_abn.runs.folders import OnExists, is_taken
from rl_abn.runs.holding import hold, let_go_on_failure
from rl_abn.runs.metrics import read_metrics
from rl_abn.runs.provenance import provenance
from rl_abn.runs.run import META, METRICS, RecipeT, Run


def run_to_resume(
    folder: Path,
    asked: RecipeT,
    settings: Sequence[str],
    device: str,
    on_exists: OnExists | None,
) -> Run[RecipeT] | None:
    """Finds the run to go on with, locks it, and cleans up after a kill.

    Its settings hold as they were; only the fields in its train table's `may_change` may be
    others. "auto" is what it was resolved to when the run began.

    Args:
        folder: Where it would be.
        asked: What was asked for.
        settings: Those of the command line.
        device: The device, for the record.
        on_exists: What to do where a run is already.

    Returns:
        The run, or None where a new one is to be made.

    Raises:
        RlAbnError: If it is another run, or imported or fine-tuned, or the settings are others, or
            it was trained longer already, or another process trains it, or it cannot be written.
    """
    if not is_taken(folder) or on_exists != "resume":
        return None
    run = Run.open(folder, type(asked))
    wanted = _checked(run, asked, settings, device)
    with let_go_on_failure(folder):
        hold(folder)
        run.recover()
        return run if wanted is None else run.with_train(**wanted)


def check_checkpoints_are_there(run: Run[RecipeT], unit: str, first_due: int) -> None:
    """Refuses to begin a run again from 0 whose checkpoints are missing.

    A run that was killed before its first checkpoint may begin again, and is told so.

    Args:
        run: A run without any checkpoint.
        unit: What its length is counted in, as `meta.json` has it: "steps" or "epochs".
        first_due: A logging point after this one is proof of a checkpoint.

    Raises:
        RlAbnError: If it had a checkpoint.
    """
    rows = read_metrics(run.path / METRICS) if (run.path / METRICS).is_file() else []
    last_row = max((row["step"] for row in rows), default=0)
    trained = read_json(run.path / META).get(unit)
    trained = trained if type(trained) is int else 0
    if trained > 0 or last_row > first_due:
        raise RlAbnError(
            f"{run.path}: expected a checkpoint to go on from, got none, though "
            f"{max(trained, last_row):,} {unit} were trained; use --on-exists new or overwrite"
        )
    if last_row:
        say(f"{run.path}: no checkpoint was saved before the training ended; it begins again")


def _checked(
    run: Run[RecipeT], asked: RecipeT, settings: Sequence[str], device: str
) -> dict[str, Any] | None:
    """Checks that a run is the one asked for; returns its train table's new values, if any."""
    _check_origin(run, asked, device)
    recipe = run.recipe
    agent, env = override(recipe.agent, recipe.env, settings)
    fields = agent.train.may_change
    kept = {field: getattr(recipe.agent.train, field) for field in fields}
    wanted = {field: getattr(agent.train, field) for field in fields}
    train = recipe.agent.train
    resolved = {field: getattr(train, field) for field, value in agent.train if value == "auto"}
    train_table = agent.train.model_copy(update={**resolved, **kept})
    if agent.model_copy(update={"train": train_table}) != recipe.agent or env != recipe.env:
        *others, last = (f"train.{field}" for field in fields)
        may = f"{', '.join(others)} and {last}"
        raise RlAbnError(
            f"{run.path}: expected the run's own settings to resume it, got others "
            f"({' '.join(settings)}); only {may} may change, "
            "or use --on-exists new"
        )
    if wanted == kept:
        return None
    _check_not_trained_longer(run, kept, wanted)
    return wanted


def _check_not_trained_longer(
    run: Run[RecipeT], kept: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuses a new length of the training that is shorter than what is trained already."""
    unit = "epochs" if "epochs" in wanted else "steps"
    trained = max((found.step for found in [*run.checkpoints, *run.recoveries]), default=0)
    if wanted[unit] != kept[unit] and wanted[unit] < trained:
        raise RlAbnError(
            f"{run.path}: expected train.{unit} from {trained:,}, as so many are trained, got "
            f"{wanted[unit]:,}; use --on-exists new"
        )


def _check_origin(run: Run[RecipeT], asked: RecipeT, device: str) -> None:
    """Refuses a run of other recipes or another seed, and one with no training to go on with."""
    try:
        meta = read_json(run.path / META)
    except RlAbnError as error:
        warn(f"{error}; a new one is begun")
        meta = provenance(device)
        write_output(run.path / META, meta)
    if "imported" in meta:
        raise RlAbnError(
            f"{run.path}: expected a run that was trained here, got imported weights: they come "
            "without an optimizer to go on with; eval, watch and export take them"
        )
    if "edited" in meta:
        raise RlAbnError(
            f"{run.path}: expected a run that was trained from the start, got one that was "
            "fine-tuned to edited maps: 'rl-abn vision edit' goes on from it"
        )
    for field in ("env_name", "agent_name", "seed"):
        was, wanted = getattr(run.recipe, field), getattr(asked, field)
        if was != wanted:
            raise RlAbnError(
                f"{run.path}: expected to resume {field.replace('_name', '')} '{was}', "
                f"got '{wanted}'; use --on-exists new"
            )
