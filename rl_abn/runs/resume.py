"""Whether a run that is there already is the one that was asked for, and can go on."""

from __future__ import annotations

from collections.abc import Sequence

from rl_abn.errors import RlAbnError, warn
from rl_abn.files.text import read_json, write_output
from rl_abn.recipes import override
from rl_abn.runs.run import META, RecipeT, Run, provenance


def resumable(
    run: Run[RecipeT],
    asked: RecipeT,
    settings: Sequence[str],
    device: str,
    housekeeping: Sequence[str],
) -> Run[RecipeT]:
    """Checks that a run is what was asked for, and puts right what a kill left half done.

    Settings hold as they were; only the housekeeping may change. "auto" is what it came to when
    the run was begun, whatever it would come to here.

    Args:
        run: What is there.
        asked: What was asked for.
        settings: Those of the command line.
        device: The device, for the record.
        housekeeping: Fields of the train table that may change on the way.

    Raises:
        RlAbnError: If it is another run, or imported or fine-tuned, or the settings are others.
    """
    recipe = run.recipe
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
        if getattr(recipe, field) != getattr(asked, field):
            raise RlAbnError(
                f"{run.path}: expected to resume {field.replace('_name', '')} "
                f"'{getattr(recipe, field)}', got '{getattr(asked, field)}'; use --on-exists new"
            )
    agent, env = override(recipe.agent, recipe.env, settings)
    kept = {field: getattr(recipe.agent.train, field) for field in housekeeping}
    wanted = {field: getattr(agent.train, field) for field in housekeeping}
    train = recipe.agent.train
    settled = {field: getattr(train, field) for field, value in agent.train if value == "auto"}
    train_table = agent.train.model_copy(update={**settled, **kept})
    if agent.model_copy(update={"train": train_table}) != recipe.agent or env != recipe.env:
        may = " and ".join(f"train.{field}" for field in housekeeping)
        raise RlAbnError(
            f"{run.path}: expected the run's own settings to resume it, got others "
            f"({' '.join(settings)}); only {may} may change, "
            "or use --on-exists new"
        )
    run.recover()
    return run if wanted == kept else run.with_train(**wanted)
