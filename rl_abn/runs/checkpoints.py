"""The folder of a run's checkpoints: each is saved whole or not at all, even if killed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.text import flush, write_json
from rl_abn.runs.tensors import bytes_of, check_weights, load_tensors, write_tensors

WEIGHTS, TRAINING, STATE = "policy.safetensors", "training.safetensors", "state.json"
RECOVERY = "recovery"


class Checkpoint(NamedTuple):
    """A saved moment of a run.

    Attributes:
        path: Its folder.
        step: Agent steps trained; epochs, in the vision track.
    """

    path: Path
    step: int

    @property
    def is_recovery(self) -> bool:
        """Whether it was saved because of the time, between two regular ones."""
        return self.path.name.startswith(f"{RECOVERY}-")


def step_of(name: str, kind: str = "step") -> int | None:
    """Returns the step that a name such as "step-000000002048" speaks of; `kind` is its first word.

    None for any other name, and for another way to write the number: two names for one step would
    be two checkpoints.
    """
    match = re.fullmatch(rf"{kind}-([0-9]{{12,16}})", name)
    if match is None:
        return None
    step = int(match[1])
    return step if name == name_of(step, kind) else None


def name_of(step: int, kind: str = "step") -> str:
    """Returns the name of a step; names sort as their steps do, up to 12 digits."""
    return f"{kind}-{step:012d}"


def list_checkpoints(folder: Path, kind: str = "step") -> list[Checkpoint]:
    """Returns all checkpoints of a folder, oldest first; `kind` is their first word."""
    found = ((path, step_of(path.name, kind)) for path in folder.glob(f"{kind}-*"))
    checkpoints = [Checkpoint(path, step) for path, step in found if step is not None]
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step)


def list_recoveries(folder: Path) -> list[Checkpoint]:
    """Returns the recovery checkpoints of a folder, oldest first: none or one, but for a kill."""
    return list_checkpoints(folder, RECOVERY)


def save_checkpoint(
    folder: Path,
    step: int,
    weights: Mapping[str, Tensor],
    training: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    recovery: bool = False,
) -> Checkpoint:
    """Saves a checkpoint under a temporary name, flushes it to disk and renames it.

    Recovery checkpoints before it are removed then.

    Args:
        folder: The checkpoints' folder.
        step: Agent steps trained, or epochs.
        weights: The model's state dict.
        training: Optimizer moments and random-number states.
        state: Counters and the like, as JSON.
        recovery: Whether it is a recovery checkpoint.

    Raises:
        RlAbnError: If it cannot be written; what was there before is untouched.
    """
    target = folder / (name_of(step, RECOVERY) if recovery else name_of(step))
    partial, replaced = _hidden(target, "partial"), _hidden(target, "replaced")
    try:
        _remove(partial)
        partial.mkdir(parents=True)
        write_tensors(partial / WEIGHTS, weights)
        write_tensors(partial / TRAINING, training)
        write_json(partial / STATE, state)
        flush(partial)
        if os.path.lexists(target):
            _remove(replaced)
            target.rename(replaced)
        partial.rename(target)
        flush(folder)
        _remove(replaced)
    except (OSError, SafetensorError) as error:
        _remove(partial)
        if os.path.lexists(replaced) and not os.path.lexists(target):
            replaced.rename(target)
        raise RlAbnError(f"{target}: the checkpoint cannot be written: {error}") from None
    for old in list_recoveries(folder):
        if old.path != target:
            take_away(old)
    return Checkpoint(target, step)


_NEW_NAMES = {
    f"gaze.places.{part}": f"gaze.glimpses.{part}"
    for part in ("key.weight", "key.bias", "query.weight", "score.weight")
}
"""Older names of weights: checkpoints that have them still load."""


def read_weights(checkpoint: Checkpoint, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reads a checkpoint's weights and checks that they are a model's.

    Args:
        checkpoint: The checkpoint.
        expected: The model's state dict.

    Raises:
        RlAbnError: If they are damaged or not this model's.
    """
    path = checkpoint.path / WEIGHTS
    stored = load_tensors(path, most_bytes=2 * bytes_of(expected.values()) + 2**20)
    weights = {_NEW_NAMES.get(name, name): tensor for name, tensor in stored.items()}
    for name in weights.keys() & expected.keys():
        # An exported run stores halves of what its model has in float32.
        if (weights[name].dtype, expected[name].dtype) == (torch.float16, torch.float32):
            weights[name] = weights[name].float()
    check_weights(path, weights, expected)
    return weights


def remove_older(folder: Path, keep: int) -> None:
    """Removes all but the newest checkpoints.

    Each gets a hidden name first, so that a kill leaves no half-removed checkpoint. One that cannot
    be removed stays, and training goes on.

    Args:
        folder: The checkpoints' folder.
        keep: How many stay; 0 keeps all.
    """
    for old in list_checkpoints(folder)[:-keep] if keep else ():
        take_away(old)


def set_aside(checkpoint: Checkpoint) -> Path:
    """Renames a damaged checkpoint, so that it is none any more and nothing of it is lost.

    Returns:
        Its path now: damaged-… beside the others, or unchanged if it cannot be renamed.
    """
    name = checkpoint.path.name.replace("step", "damaged").replace(RECOVERY, "damaged")
    names = (f"{name}-{i}" if i else name for i in range(10_000))
    aside = next(p for n in names if not os.path.lexists(p := checkpoint.path.with_name(n)))
    try:
        return checkpoint.path.rename(aside)
    except OSError:
        return checkpoint.path


def recover(folder: Path) -> None:
    """Cleans up after a kill: finishes a replacement that was started, removes the rest.

    Raises:
        RlAbnError: If the folder cannot be written.
    """
    try:
        for replaced in _left(folder, "replaced"):
            target = folder / replaced.name.removeprefix(".").removesuffix(".replaced")
            partial = _hidden(target, "partial")
            if not os.path.lexists(target):
                # The old one makes room only when the new one is whole and on the disk.
                (partial if partial.is_dir() else replaced).rename(target)
        for why in ("partial", "replaced", "removed"):
            for path in _left(folder, why):
                _remove(path)
        newest = max((checkpoint.step for checkpoint in list_checkpoints(folder)), default=-1)
        for recovery in list_recoveries(folder):
            if recovery.step <= newest:
                take_away(recovery)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None


def _left(folder: Path, why: str) -> list[Path]:
    return [p for kind in ("step", RECOVERY) for p in folder.glob(f".{kind}-*.{why}")]


def take_away(checkpoint: Checkpoint) -> None:
    """Removes a checkpoint, at once or not at all; one that cannot be removed stays."""
    removed = _hidden(checkpoint.path, "removed")
    with suppress(OSError):
        _remove(removed)
        checkpoint.path.rename(removed)
        _remove(removed)


def _hidden(path: Path, why: str) -> Path:
    return path.with_name(f".{path.name}.{why}")


def _remove(path: Path) -> None:
    """Removes a folder, or a link but not its target; failing to is no error."""
    if path.is_symlink() or path.is_file():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
