"""Reads an agent that is there already, for one that learns from it or begins with its weights."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rl_abn.errors import RlAbnError
from rl_abn.recipes import (
    EnvRecipe,
    GymnasiumRecipe,
    OtherAgentTable,
    Protocol,
    RunRecipe,
    load_agent,
    override,
)
from rl_abn.rl.envs.make import action_names
from rl_abn.rl.envs.two_view_vec_env import same_view
from rl_abn.rl.interchange.imported_run import ImportedAgent
from rl_abn.rl.interchange.mask_a3c import AGENT as MASK_A3C
from rl_abn.rl.interchange.mask_a3c import mask_a3c_agent, memory_setting, read_mask_a3c
from rl_abn.rl.interchange.sb3_import import is_cnn_policy, read_sb3, sb3_agent
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.auto_settings import settle_imported
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import Run
from rl_abn.runs.origin import INIT, TEACHER
from rl_abn.runs.shipped import find_run
from rl_abn.runs.tensors import hash_of

_CNN = "ppo_cnn"


class OtherAgent(NamedTuple):
    """An agent that was there already.

    Attributes:
        recipe: Of the run that it is, or would be.
        policy: In evaluation mode, on the CPU.
        record: Who it is, plain data: path, kind, agent, env, protocol, steps, sha256.
        run: The run that it comes from; None for a file.
    """

    recipe: RunRecipe
    policy: AttentionPolicy
    record: dict[str, Any]
    run: Run | None


def read_other_agent(table: OtherAgentTable, ours: RunRecipe, role: str) -> OtherAgent:
    """Reads an agent, and checks that it plays the same game with the same actions.

    Args:
        table: Which one; it has a path.
        ours: The recipe of the run that it is for.
        role: What it is to that run, for errors: the name of the recipe's table.

    Raises:
        RlAbnError: If there is none, it is damaged, or plays another game or other actions.
    """
    path, run = Path(table.path).expanduser(), None
    if path.is_file():
        kind, agent = _read_file(path, table, ours, role)
        policy = agent.load(path)
        recipe, steps = agent.recipe, agent.steps
        _check_game(recipe, ours, table.path, role)
    else:
        run = Run.open(_run_folder(table.path, role))
        found = run.checkpoint(None if table.checkpoint == "newest" else table.checkpoint)
        kind, recipe, steps = "run", run.recipe, found.step
        _check_game(recipe, ours, table.path, role)  # before its network is made
        policy = load_policy(run, found, torch.device("cpu"))
    policy.set_training_mode(False)
    record = {
        "path": table.path,
        "kind": kind,
        "agent": recipe.agent_name,
        "env": recipe.env_name,
        "protocol": recipe.protocol_name,
        "steps": steps,
        "sha256": hash_of(policy.state_dict()),
    }
    return OtherAgent(recipe, policy, record, run)


def _run_folder(path: str, role: str) -> Path:
    try:
        return find_run(path)
    except RlAbnError as error:
        raise RlAbnError(f"{role}: {error}") from None


def _read_file(
    path: Path, table: OtherAgentTable, ours: RunRecipe, role: str
) -> tuple[str, ImportedAgent]:
    """Reads a zip of stable-baselines3, or published weights of Mask-Attention A3C."""
    if _is_sb3_zip(path):
        weights, steps = read_sb3(path)
        if role == INIT and not table.agent:  # it has to have the run's own network
            return "sb3", sb3_agent(path, settle_imported(ours), weights, steps)
        name = table.agent or (_CNN if is_cnn_policy(weights) else "")
        if not name:
            raise RlAbnError(
                f"{path}: expected the agent recipe that it was trained with "
                f"(--set {role}.agent=NAME), got none; the zip does not say"
            )
        return "sb3", sb3_agent(path, _recipe_of_file(name, ours, ()), weights, steps)
    published = read_mask_a3c(path)
    recipe = _recipe_of_file(table.agent or MASK_A3C, ours, [memory_setting(published)])
    return "mask-a3c", mask_a3c_agent(path, recipe, published, 0)


def _is_sb3_zip(path: Path) -> bool:
    if path.suffix == ".zip":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "policy.pth" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _recipe_of_file(name: str, ours: RunRecipe, settings: Any) -> RunRecipe:
    """Returns the recipe of an agent that is read from a file, in the game of the run it is for.

    The file says neither game nor protocol. It is that run's protocol, unless the recipe's own
    shows other observations.
    """
    agent, _ = override(load_agent(name), ours.env, settings)
    recipe = ours.model_copy(update={"agent_name": Path(name).stem, "agent": agent, "seed": 0})
    if isinstance(ours.env, EnvRecipe):
        theirs, own = training_protocol(recipe), training_protocol(ours)
        assert isinstance(theirs, Protocol)
        assert isinstance(own, Protocol)
        if same_view(theirs, own):
            train = agent.train.model_copy(update={"protocol": ours.agent.train.protocol})
            recipe = recipe.model_copy(update={"agent": agent.model_copy(update={"train": train})})
    return settle_imported(recipe)


_CALLED = {TEACHER: "a teacher", INIT: "an agent to begin with"}


def _check_game(recipe: RunRecipe, ours: RunRecipe, path: str, role: str) -> None:
    """Checks that two agents play the same game with the same actions.

    Raises:
        RlAbnError: If not.
    """
    called = _CALLED[role]
    if _game_of(recipe) != _game_of(ours):
        raise RlAbnError(
            f"expected {called} that plays {ours.env.game.title}, got one of "
            f"{recipe.env.game.title} ({path})"
        )
    theirs, own = _actions(recipe), _actions(ours)
    if theirs != own:
        raise RlAbnError(
            f"expected {called} that has the run's {len(own)} actions, got one of {len(theirs)} "
            f"({path}); the run's train.protocol is '{ours.protocol_name}', the other's "
            f"'{recipe.protocol_name}'"
        )


def _game_of(recipe: RunRecipe) -> Any:
    env = recipe.env
    if isinstance(env, GymnasiumRecipe):
        return env.game.id, env.options
    return env.game.rom


def _actions(recipe: RunRecipe) -> list[str]:
    return action_names(recipe.env, training_protocol(recipe))
