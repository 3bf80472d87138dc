"""What a checkpoint stores of a training, read and checked before any of it is used."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.recipes.overrides import validate
from rl_abn.runs.checkpoints import STATE, TRAINING, Checkpoint, read_weights
from rl_abn.runs.optimizer import OptimizerState, load_state, unflatten_state
from rl_abn.runs.tensors import bytes_of, load_tensors


class Plain(BaseModel):
    """Plain data of a `state.json`: exact types, finite numbers, not to be changed."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


StateT = TypeVar("StateT", bound=Plain)


class TrainingTensors(NamedTuple):
    """The tensors of a checkpoint.

    Attributes:
        weights: The model's state dict.
        optimizer: The state of its optimizer, numbers included.
        others: What else `training.safetensors` stores, by name.
    """

    weights: dict[str, Tensor]
    optimizer: OptimizerState
    others: dict[str, Tensor]

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Gives a model its weights and its optimizer their state."""
        model.load_state_dict(self.weights)
        load_state(optimizer, self.optimizer)


def read_state(checkpoint: Checkpoint, schema: type[StateT], counter: str) -> StateT:
    """Reads a checkpoint's `state.json`.

    Args:
        checkpoint: The checkpoint.
        schema: What the file has to say.
        counter: The field that has to be the checkpoint's step.

    Raises:
        RlAbnError: If it is damaged, or of another step.
    """
    path = checkpoint.path / STATE
    state = validate(schema, read_json(path), str(path))
    step = getattr(state, counter)
    if step != checkpoint.step:
        raise RlAbnError(
            f"{path}: expected {counter} {checkpoint.step}, as the folder is named, got {step}"
        )
    return state


def read_tensors(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scalars: Mapping[str, Any],
    others: Collection[str] = (),
    *,
    updated: bool = True,
) -> TrainingTensors:
    """Reads a checkpoint's weights and its optimizer's state; model and optimizer stay as they are.

    Args:
        checkpoint: The checkpoint.
        model: The model it is to be of.
        optimizer: The optimizer it is to be of.
        scalars: The optimizer's numbers, as `state.json` has them.
        others: Names of further tensors that may be stored; the caller checks those.
        updated: Whether the optimizer had made an update; before that it has no state.

    Raises:
        RlAbnError: If a file is damaged, or not of this model or optimizer.
    """
    weights = read_weights(checkpoint, model.state_dict())
    path = checkpoint.path / TRAINING
    # No optimizer here keeps four times the weights.
    tensors = load_tensors(path, most_bytes=4 * bytes_of(weights.values()) + 2**20)
    found = {name: tensors.pop(name) for name in others if name in tensors}
    scalars_path = checkpoint.path / STATE
    state = unflatten_state(optimizer, tensors, scalars, path, scalars_path, updated=updated)
    return TrainingTensors(weights, state, found)
