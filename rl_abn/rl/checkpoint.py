"""A checkpoint is a barrier: all that decides what comes next is stored or derived from it."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.rl.build import Model, load_weights
from rl_abn.rl.vec_env import AleVecEnv, derive_seeds
from rl_abn.runs import STATE, TRAINING, Checkpoint, Run, load_tensors, read_json

_BARRIER = 1  # keeps these seeds apart from those of the run's start and of evaluation


def save(run: Run, model: Model, barrier: int) -> Checkpoint:
    """Saves a model between two updates.

    Args:
        run: Where to.
        model: The algorithm.
        barrier: How many checkpoints came before; the games go on from seeds derived from it.
    """
    training, groups = _flatten_optimizer(model.policy.optimizer)
    training["rng.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        training["rng.cuda"] = torch.cuda.get_rng_state(model.device)
    state = {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "barrier": barrier,
        "optimizer": groups,
        "episodes": list(model.ep_info_buffer or ()),
    }
    return run.save_checkpoint(model.num_timesteps, model.policy.state_dict(), training, state)


def restart_games(env: AleVecEnv, seed: int, barrier: int) -> None:
    """Says that the next reset begins the games that follow a barrier."""
    env.seed_games(derive_seeds(seed, _BARRIER, barrier, count=env.num_envs))


def restore(model: Model, checkpoint: Checkpoint) -> tuple[int, dict[str, Tensor]]:
    """Gives a model all that a checkpoint stores but the random-number states.

    Returns:
        The barrier's number, and the random-number states for `restore_rng`: they go in last,
        right before the first rollout.

    Raises:
        RlAbnError: If the checkpoint is damaged or not this agent's.
    """
    load_weights(model.policy, checkpoint)
    state = read_json(checkpoint.path / STATE)
    tensors = load_tensors(checkpoint.path / TRAINING)
    try:
        model.policy.optimizer.load_state_dict(_unflatten_optimizer(state["optimizer"], tensors))
        _lay_out_like_weights(model.policy.optimizer)
        model.num_timesteps = int(state["num_timesteps"])
        model._n_updates = int(state["n_updates"])
        model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)
        rng = {name: tensor for name, tensor in tensors.items() if name.startswith("rng.")}
        return int(state["barrier"]), rng
    except (KeyError, TypeError, ValueError) as error:
        raise RlAbnError(
            f"{checkpoint.path}: expected a whole checkpoint, got one without {error}"
        ) from None


def restore_rng(rng: dict[str, Tensor], device: torch.device) -> None:
    """Puts the random-number generators back to where they were."""
    torch.set_rng_state(rng["rng.cpu"])
    if device.type == "cuda" and "rng.cuda" in rng:
        torch.cuda.set_rng_state(rng["rng.cuda"], device)


def _lay_out_like_weights(optimizer: torch.optim.Optimizer) -> None:
    """Gives moments their weights' memory format: fused optimizers walk both side by side."""
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight).copy_(value)


def _flatten_optimizer(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits an optimizer's state into tensors by name and the rest as plain data."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, entry in state["state"].items():
        for name, value in entry.items():
            key = f"optimizer.{index}.{name}"
            if isinstance(value, Tensor):
                tensors[key] = value
            else:
                scalars[key] = value
    return tensors, {"scalars": scalars, "param_groups": state["param_groups"]}


def _unflatten_optimizer(plain: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    named = {k: v for k, v in tensors.items() if k.startswith("optimizer.")}
    for key, value in {**named, **plain["scalars"]}.items():
        _, index, name = key.split(".", 2)
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": plain["param_groups"]}
