"""Makes a run's folder and opens its data, or finds the run to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rl_abn.command_line import typed_or
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.recipes import make_vision_recipe
from rl_abn.runs import META, OnExists, Run, check_free, default_folder, free_folder
from rl_abn.runs.holding import hold, let_go_on_failure
from rl_abn.runs.resume import run_to_resume
from rl_abn.vision.data.batches import epoch_order
from rl_abn.vision.data.examples import DataSet
from rl_abn.vision.tasks.outputs import OUTPUTS
from rl_abn.vision.training.build import VisionRun, resolve_auto
from rl_abn.vision.training.kinds import kind_of


def prepare_run(
    *,
    env: str,
    agent: str,
    seed: int,
    data: Path | None = None,
    settings: Sequence[str] = (),
    folder: Path | None = None,
    on_exists: OnExists | None = None,
    device: str = "auto",
) -> tuple[VisionRun, DataSet, bool]:
    """Makes a run's folder, or finds the one to go on with, and opens its data.

    The folder is locked, for `train` to give free.

    Args:
        env: Name or path of the data recipe.
        agent: Name or path of the model recipe.
        seed: Seed of everything random.
        data: Where the data lies; None is where it lay when the run was begun.
        settings: Overrides such as "optimizer.learning_rate=0.05".
        folder: The run folder; None is runs/DATA/MODEL/seed-S.
        on_exists: What to do where a run is already.
        device: Where the data and the network go.

    Returns:
        The run, its data, and whether it goes on.

    Raises:
        RlAbnError: If a recipe, a setting or the data is wrong, or a run is there and `on_exists`
            does not say what to do.
    """
    recipe = make_vision_recipe(env, agent, seed, settings)
    kind = kind_of(recipe)
    kind.check_recipe(recipe)
    where = device_of(device)
    folder = folder or default_folder(recipe)
    run = run_to_resume(folder, recipe, settings, device, on_exists)
    if run is not None:
        with let_go_on_failure(folder):
            opened: DataSet = kind.open_training(run.recipe, data or data_of(run), where)
            _check_same_data(run, opened.outputs)
            return run, opened, True
    if data is None:
        raise RlAbnError(f"expected --data PATH, where {recipe.env.title} lies, got none")
    check_free(folder, on_exists)  # before the data is read
    recipe = resolve_auto(recipe, where)
    opened = kind.open_training(recipe, data, where)
    # Complains, or downloads what the recipe wants, before a folder is made.
    kind.make_network(recipe, opened.outputs, torch.device("cpu"), pretrained=True)
    folder = free_folder(folder, on_exists)
    with let_go_on_failure(folder):
        place = str(data.resolve())
        words = ("vision", "train", "--env", env, "--agent", agent, "--seed", str(seed))
        command = typed_or(*words, "--data", place, settings=settings)
        run = Run.create(folder, recipe, device, command=command, data=place)
        hold(folder)
        opened.outputs.save(run.path)
        return run, opened, False


def data_of(run: VisionRun) -> Path:
    """Returns where a run's data lay when it was begun.

    Raises:
        RlAbnError: If nobody wrote it down.
    """
    path = read_json(run.path / META).get("data")
    if not isinstance(path, str):
        raise RlAbnError(f"{run.path / META}: expected the data's place, got none; add --data PATH")
    return Path(path)


def n_batches(run: VisionRun, data: DataSet) -> int:
    """Returns how many batches a run's whole training has."""
    settings = run.recipe.agent.train
    return settings.epochs * len(epoch_order(len(data.train), settings.batch_size, 0))


def _check_same_data(run: VisionRun, opened: Any) -> None:
    if not (run.path / OUTPUTS).is_file():  # killed before it was written
        opened.save(run.path)
        return
    if type(opened).load(run.path) != opened:
        raise RlAbnError(
            f"{run.path}: expected the data the run was begun with, got other pictures or "
            "targets; use --on-exists new"
        )
