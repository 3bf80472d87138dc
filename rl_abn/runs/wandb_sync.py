"""Shows a run in Weights & Biases, which takes what TensorBoard gets."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.runs.run import Run


def check_wandb() -> None:
    """Checks that the package is installed.

    Raises:
        RlAbnError: If it is not.
    """
    try:
        found = find_spec("wandb")
    except ValueError:  # a module that has no spec
        found = None
    if found is None:
        raise RlAbnError(
            "--wandb: expected the package 'wandb', got none; pip install 'rl-abn[wandb]'"
        )


@contextmanager
def wandb_sync(run: Run[Any], project: str | None) -> Iterator[None]:
    """Sends a training's TensorBoard curves to a project of Weights & Biases; None sends nothing.

    Has to be entered before the training opens its TensorBoard files. `WANDB_MODE=offline` and
    the like hold as wandb has them.

    Raises:
        RlAbnError: If the package is missing, or cannot begin.
    """
    if project is None:
        yield
        return
    check_wandb()
    wandb = importlib.import_module("wandb")
    recipe = run.recipe
    name = f"{recipe.env_name}/{recipe.agent_name}/seed-{recipe.seed}"
    config = recipe.model_dump(mode="json")
    try:
        session = wandb.init(project=project, name=name, config=config, sync_tensorboard=True)
    except Exception as error:  # the network's, wandb's own and others
        raise RlAbnError(f"--wandb: expected a W&B run, got {brief(error)}") from None
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        session.finish(exit_code=exit_code)
