"""What a run folder holds, and how it is written and read safely."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import tomli_w
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import RunRecipe, load_run

RECIPE, META, METRICS = "recipe.toml", "meta.json", "metrics.jsonl"
WEIGHTS, TRAINING, STATE = "policy.safetensors", "training.safetensors", "state.json"


class Checkpoint(NamedTuple):
    """A saved moment of a run.

    Attributes:
        path: Its folder.
        step: Agent steps trained.
    """

    path: Path
    step: int


class Run:
    """A run folder: `recipe.toml`, `meta.json`, `metrics.jsonl` and what grows beside them.

    Args:
        path: The folder.
        recipe: The resolved recipe.
    """

    def __init__(self, path: Path, recipe: RunRecipe) -> None:
        self.path = path
        self.recipe = recipe

    @classmethod
    def create(cls, path: Path, recipe: RunRecipe, device: str) -> Self:
        """Makes a new run folder and writes down what the run is made of.

        Raises:
            RlAbnError: If the folder cannot be written.
        """
        try:
            path.mkdir(parents=True)
            write_recipe(path, recipe)
            write_json(path / META, provenance(device))
        except OSError as error:
            raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None
        return cls(path, recipe)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a run folder.

        Raises:
            RlAbnError: If it is none.
        """
        if _kind_of(path / RECIPE) != "a file":
            runs = [str(found.parent) for found in Path("runs").glob(f"*/*/*/{RECIPE}")]
            hint = did_you_mean(str(path), runs) if runs else "train one with 'rl-abn train'"
            got = _kind_of(path)
            got = f"a folder without {RECIPE}" if got == "a folder" else got or "no such folder"
            raise RlAbnError(f"expected a run folder, got '{path}' ({got}); {hint}")
        return cls(path, load_run(path / RECIPE))

    def with_steps(self, steps: int) -> Self:
        """Writes down that the run goes on to another number of steps."""
        agent = self.recipe.agent
        more = agent.model_copy(update={"train": agent.train.model_copy(update={"steps": steps})})
        recipe = self.recipe.model_copy(update={"agent": more})
        write_recipe(self.path, recipe)
        return type(self)(self.path, recipe)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, oldest first."""
        found = (self.path / "checkpoints").glob("step-*")
        return sorted(
            (Checkpoint(path, int(path.name[5:])) for path in found if path.name[5:].isdigit()),
            key=lambda checkpoint: checkpoint.step,
        )

    def checkpoint(self, step: int | None = None) -> Checkpoint:
        """Returns the newest checkpoint, or the one of a step.

        Raises:
            RlAbnError: If there is none.
        """
        checkpoints = self.checkpoints
        if not checkpoints:
            raise RlAbnError(f"{self.path}: expected a checkpoint, got none yet")
        if step is None:
            return checkpoints[-1]
        for checkpoint in checkpoints:
            if checkpoint.step == step:
                return checkpoint
        near = min(checkpoints, key=lambda checkpoint: abs(checkpoint.step - step))
        raise RlAbnError(
            f"{self.path}: expected a checkpoint at step {step}, got none; "
            f"the nearest is {near.step}"
        )

    def save_checkpoint(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        training: Mapping[str, Tensor],
        state: Mapping[str, Any],
    ) -> Checkpoint:
        """Saves a checkpoint under a temporary name, flushes it to disk and renames it.

        Args:
            step: Agent steps trained.
            weights: The policy's state dict.
            training: Optimizer moments and random-number states.
            state: Counters and the like, as JSON.

        Raises:
            RlAbnError: If it cannot be written; what was there before is untouched.
        """
        target = self.path / "checkpoints" / f"step-{step:012d}"
        partial = target.with_name(f".{target.name}.partial")
        replaced = target.with_name(f".{target.name}.replaced")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save_file({k: v.contiguous() for k, v in weights.items()}, partial / WEIGHTS)
            save_file({k: v.contiguous() for k, v in training.items()}, partial / TRAINING)
            write_json(partial / STATE, state)
            for file in (WEIGHTS, TRAINING):
                _flush(partial / file)
            if target.exists():
                shutil.rmtree(replaced, ignore_errors=True)
                target.rename(replaced)
            partial.rename(target)
            _flush(target.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            if replaced.exists() and not target.exists():
                replaced.rename(target)
            raise RlAbnError(f"{target}: the checkpoint cannot be written: {error}") from None
        return Checkpoint(target, step)

    def update_meta(self, **changes: Any) -> None:
        """Changes entries of `meta.json`.

        Raises:
            RlAbnError: If it cannot be read or written.
        """
        write_output(self.path / META, {**read_json(self.path / META), **changes})


def write_recipe(folder: Path, recipe: RunRecipe) -> None:
    """Writes a resolved recipe into a run folder.

    Raises:
        RlAbnError: If it cannot be written.
    """
    plain = recipe.model_dump(mode="json", exclude_none=True)
    try:
        write_atomically(folder / RECIPE, tomli_w.dumps(plain))
    except OSError as error:
        raise RlAbnError(f"{folder / RECIPE}: cannot be written: {error.strerror}") from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors to a safetensors file under a temporary name, then renames it.

    Raises:
        RlAbnError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial)
        partial.rename(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise RlAbnError(f"{path}: cannot be written: {error}") from None


def load_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Reads a safetensors file; nothing in it is executed.

    Raises:
        RlAbnError: If it is missing, cut off or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RlAbnError(f"{path}: expected a safetensors file, got {_brief(error)}") from None


def check_weights(path: Path, got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuses weights that are not the model's: other names, shapes, or values that are no numbers.

    Raises:
        RlAbnError: The first thing that does not fit.
    """
    for name in sorted(expected.keys() ^ got.keys()):
        where = "the file lacks it" if name in expected else "the agent has none"
        raise RlAbnError(
            f"{path}: expected the agent's tensors, got a difference: {name} ({where})"
        )
    for name, tensor in expected.items():
        if got[name].shape != tensor.shape:
            raise RlAbnError(
                f"{path}: expected {name} of shape {tuple(tensor.shape)}, "
                f"got {tuple(got[name].shape)}"
            )
        if not torch.isfinite(got[name]).all():
            raise RlAbnError(f"{path}: expected finite numbers in {name}, got NaN or infinity")


def provenance(device: str) -> dict[str, Any]:
    """Returns what a result depends on beside its recipe: versions, machine, command line."""
    packages = ("rl-abn", "torch", "stable-baselines3", "gymnasium", "ale-py", "numpy")
    return {
        "command": shlex.join(["rl-abn", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "commit": _git_commit(),
        "device": device,
        "cpu_cores": os.cpu_count(),
        "platform": platform.platform(),
        "status": "running",
        "wall_time_s": 0.0,
    }


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RlAbnError: If it is missing or no JSON object.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RlAbnError(f"{path}: expected JSON, got {_brief(error)}") from None
    if not isinstance(data, dict):
        raise RlAbnError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def write_output(path: Path, data: Mapping[str, Any]) -> None:
    """Writes a result as JSON, making the folders it needs.

    Raises:
        RlAbnError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, data)
    except OSError as error:
        raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically; numbers that are none become null."""
    write_atomically(path, json.dumps(_without_nan(data), indent=2) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file under a temporary name, flushes it to disk and renames it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, "utf-8")
        _flush(partial)
        partial.rename(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _kind_of(path: Path) -> str | None:
    """Says what is at a path; None is nothing, or a name no file system would take."""
    try:
        return "a file" if path.is_file() else "a folder" if path.is_dir() else None
    except OSError:
        return None


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _git_commit() -> str | None:
    """Returns the checkout's commit, or None in an installed package."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=False
        )
    except OSError:  # git is not installed
        return None
    return result.stdout.strip() or None


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
