"""Finds the run that `--on-exists resume` goes on with, and checks that it is the one asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_abn.errors import RlAbnError, warn
from rl_abn.files.text import read_json, write_output
from rl_abn.recipes import override
from rl_abn.runs.folders import OnExists, is_taken
from rl_abn.runs.run import META, RecipeT, Run, provenance


def run_to_resume(
    folder: Path,
    asked: RecipeT,
    settings: Sequence[str],
    device: str,
    on_exists: OnExists | None,
) -> Run[RecipeT] | None:
    """Finds the run to go on with, and cleans up after a kill.

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
        RlAbnError: If it is another run, or imported or fine-tuned, or the settings are others.
    """
    if on_exists != "resume" or not is_taken(folder):
        return None
    run = Run.open(folder, type(asked))
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
        may = " and ".join(f"train.{field}" for field in fields)
        raise RlAbnError(
            f"{run.path}: expected the run's own settings to resume it, got others "
            f"({' '.join(settings)}); only {may} may change, "
            "or use --on-exists new"
        )
    run.recover()
    return run if wanted == kept else run.with_train(**wanted)


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
