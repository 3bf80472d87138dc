"""An optimizer's state as tensors and plain numbers by name, and back; no pickle."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.runs.tensors import check_weights

OptimizerState = dict[int, dict[str, Any]]


def flatten_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits an optimizer's state into tensors by name and the rest as plain data."""
    return _flatten(optimizer.state_dict()["state"])


def unflatten_state(
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    scalars: Mapping[str, Any],
    tensors_path: Path,
    scalars_path: Path,
    *,
    updated: bool = True,
) -> OptimizerState:
    """Puts an optimizer's state together again; the optimizer is as it was.

    Names and shapes come from a copy of the optimizer that makes one update. A weight that never
    had a gradient, as it is frozen or unused, has no state.

    Args:
        optimizer: One of the kind that was saved.
        tensors: What `flatten_state` returned first.
        scalars: What it returned second.
        tensors_path: The file to name where tensors do not fit.
        scalars_path: The file to name where numbers do not.
        updated: Whether it had made an update; before that it has no state.

    Raises:
        RlAbnError: If it is not the state of such an optimizer.
    """
    expected = _state_after_an_update(optimizer) if updated else {}
    stored = tensors.keys() | scalars.keys()
    with_state = {
        index: entry
        for index, entry in expected.items()
        if any(_key(index, name) in stored for name in entry)
    }
    expected = with_state or expected  # an update leaves a state of some weight
    expected_tensors, expected_scalars = _flatten(expected)
    check_weights(tensors_path, tensors, expected_tensors)
    if scalars.keys() != expected_scalars.keys():
        raise RlAbnError(
            f"{scalars_path}: expected {len(expected_scalars)} numbers of the "
            f"optimizer, got {len(scalars)}, or others"
        )
    return {
        index: {name: tensors.get(key := _key(index, name), scalars.get(key)) for name in entry}
        for index, entry in expected.items()
    }


def load_state(optimizer: torch.optim.Optimizer, state: OptimizerState) -> None:
    """Gives an optimizer a state; the settings of its groups stay, they are the recipe's."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    # Moments get their weights' memory format: fused optimizers walk both side by side.
    for weight, moments in optimizer.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                moments[name] = torch.empty_like(weight).copy_(value)


def _state_after_an_update(optimizer: torch.optim.Optimizer) -> OptimizerState:
    """Returns the state of such an optimizer after one update, for names and shapes."""
    trial = copy.deepcopy(optimizer)
    for group in trial.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    trial.step()
    state: OptimizerState = trial.state_dict()["state"]
    return state


def _flatten(state: OptimizerState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, entry in state.items():
        for name, value in entry.items():
            (tensors if isinstance(value, Tensor) else scalars)[_key(index, name)] = value
    return tensors, scalars


def _key(index: int, name: str) -> str:
    return f"optimizer.{index}.{name}"
