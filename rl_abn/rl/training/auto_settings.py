"""What "auto" means in a recipe: settled once, when a training begins."""

from __future__ import annotations

from typing import Any

import torch

from rl_abn.compute.processor import resolve_precision, usable_cores
from rl_abn.recipes import GymnasiumRecipe, RunRecipe
from rl_abn.rl.training.distributed import Ranks

MIN_GAMES_IN_PARTS = 8
"""Fewer games a process are not worth two passes of the agent instead of one."""


def resolve_auto(
    recipe: RunRecipe,
    device: torch.device,
    ranks: Ranks | None = None,
    *,
    in_turn: bool = False,
) -> RunRecipe:
    """Settles a recipe's "auto" for this machine; what a training is made of and records.

    Args:
        recipe: As it was asked for; fields that are not "auto" stay as they are.
        device: Where the networks run.
        ranks: The processes that train together.
        in_turn: Whether the games are stepped by the process that acts, as those that are seen in
            two ways.
    """
    train = recipe.agent.train
    parts = train.env_parts
    if parts == "auto" and (in_turn or _in_turn(recipe)):
        parts = 1
    elif parts == "auto":
        parts = _env_parts(recipe.agent.algorithm.n_envs, device, ranks or Ranks())
    precision = resolve_precision(train.precision, device)
    return _with_train(recipe, precision=precision, env_parts=parts)


def settle_imported(recipe: RunRecipe) -> RunRecipe:
    """Settles a recipe's "auto" for weights that were trained elsewhere, in fp32 as far as known.

    An imported agent answers as it did where it comes from, on every machine.
    """
    train = recipe.agent.train
    return _with_train(
        recipe,
        precision="fp32" if train.precision == "auto" else train.precision,
        env_parts=1 if train.env_parts == "auto" else train.env_parts,
    )


def _env_parts(n_envs: int, device: torch.device, ranks: Ranks) -> int:
    """Two parts, where a process's games split evenly and one half can run beside the agent."""
    n_mine = n_envs // ranks.count
    splits = n_mine >= MIN_GAMES_IN_PARTS and n_mine % 2 == 0
    # On a GPU the agent leaves its core to the emulators while it waits.
    overlaps = device.type != "cpu" or usable_cores() // ranks.local_count > 1
    return 2 if splits and overlaps else 1


def _in_turn(recipe: RunRecipe) -> bool:
    """Says whether the games are stepped by the process that acts: parts would gain nothing."""
    return isinstance(recipe.env, GymnasiumRecipe) and recipe.env.processes == "sync"


def _with_train(recipe: RunRecipe, **changes: Any) -> RunRecipe:
    train = recipe.agent.train.model_copy(update=changes)
    agent = recipe.agent.model_copy(update={"train": train})
    return recipe.model_copy(update={"agent": agent})
