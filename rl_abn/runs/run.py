"""A run folder: what it was made of, and what grows in it."""

from __future__ import annotations

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
from typing import Any, Self

import tomli_w
from torch import Tensor

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files import kind_of, read_json, write_atomically, write_json, write_output
from rl_abn.recipes import RunRecipe, load_run
from rl_abn.runs import checkpoints
from rl_abn.runs.checkpoints import Checkpoint

RECIPE, META, METRICS = "recipe.toml", "meta.json", "metrics.jsonl"


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
    def create(cls, path: Path, recipe: RunRecipe, device: str, **meta: Any) -> Self:
        """Makes a new run folder and writes down what the run is made of.

        Args:
            path: The folder; it may not exist, or be empty.
            recipe: The resolved recipe.
            device: The device, for the record.
            meta: More entries of `meta.json`.

        Raises:
            RlAbnError: If the folder cannot be written.
        """
        # Under a hidden name until it is whole: a kill leaves a run or none.
        partial = path.with_name(f".{path.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write_recipe(partial, recipe)
            write_json(partial / META, {**provenance(device), **meta})
            partial.rename(path)
        except OSError as error:
            raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None
        return cls(path, recipe)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a run folder.

        Raises:
            RlAbnError: If it is none.
        """
        if kind_of(path / RECIPE) != "a file":
            runs = [str(found.parent) for found in Path("runs").glob(f"*/*/*/{RECIPE}")]
            hint = did_you_mean(str(path), runs) if runs else "train one with 'rl-abn train'"
            got = kind_of(path)
            got = f"a folder without {RECIPE}" if got == "a folder" else got or "no such folder"
            raise RlAbnError(f"expected a run folder, got '{path}' ({got}); {hint}")
        return cls(path, load_run(path / RECIPE))

    def with_train(self, **changes: Any) -> Self:
        """Writes down other values of fields in the recipe's train table, such as `steps`."""
        agent = self.recipe.agent
        more = agent.model_copy(update={"train": agent.train.model_copy(update=changes)})
        recipe = self.recipe.model_copy(update={"agent": more})
        write_recipe(self.path, recipe)
        return type(self)(self.path, recipe)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, oldest first."""
        return checkpoints.list_checkpoints(self.path / "checkpoints")

    @property
    def is_imported(self) -> bool:
        """Whether the weights were trained elsewhere and came without an optimizer.

        Raises:
            RlAbnError: If `meta.json` is damaged.
        """
        return "imported" in read_json(self.path / META)

    def checkpoint(self, step: int | None = None) -> Checkpoint:
        """Returns the newest checkpoint, or the one of a step.

        Raises:
            RlAbnError: If there is none.
        """
        found = self.checkpoints
        if not found:
            raise RlAbnError(f"{self.path}: expected a checkpoint, got none yet")
        if step is None:
            return found[-1]
        for checkpoint in found:
            if checkpoint.step == step:
                return checkpoint
        near = min(found, key=lambda checkpoint: abs(checkpoint.step - step))
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
        folder = self.path / "checkpoints"
        return checkpoints.save_checkpoint(folder, step, weights, training, state)

    def remove_old_checkpoints(self) -> None:
        """Keeps as many of the newest checkpoints as `train.keep` says."""
        checkpoints.remove_older(self.path / "checkpoints", self.recipe.agent.train.keep)

    def recover(self) -> None:
        """Puts right what a killed training left half done.

        Raises:
            RlAbnError: If the folder cannot be written.
        """
        checkpoints.recover(self.path / "checkpoints")
        for folder in (self.path, self.path / "attention", self.path / "attention" / "maps"):
            for partial in folder.glob(".*.partial"):
                with suppress(OSError):
                    partial.unlink()

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


def _git_commit() -> str | None:
    """Returns the checkout's commit, or None in an installed package."""
    checkout = Path(__file__).resolve().parents[2]
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
