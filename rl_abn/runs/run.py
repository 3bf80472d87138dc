"""A run folder: what it was made of, and what grows in it."""

from __future__ import annotations

import glob
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, overload

import tomli_w
from torch import Tensor
from typing_extensions import TypeVar

from rl_abn.errors import RlAbnError, did_you_mean, warn
from rl_abn.files.text import kind_of, read_json, write_atomically, write_json, write_output
from rl_abn.recipes import RunRecipe, TranslationRunRecipe, VisionRunRecipe, load_run
from rl_abn.runs import checkpoints
from rl_abn.runs.best import CheckpointChoice, best_checkpoint
from rl_abn.runs.checkpoints import Checkpoint
from rl_abn.runs.lock import holder_of
from rl_abn.runs.provenance import provenance
from rl_abn.runs.replacing import remove_replaced, replaces, settle

RECIPE, META, METRICS = "recipe.toml", "meta.json", "metrics.jsonl"
EXPORTED = "run"
"""What `meta.json` calls an import of a run that was exported to be handed on."""
_OLD_S = 3600.0  # what was being made an hour ago is what a kill left


RecipeT = TypeVar("RecipeT", RunRecipe, VisionRunRecipe, TranslationRunRecipe, default=RunRecipe)
OtherT = TypeVar("OtherT", RunRecipe, VisionRunRecipe, TranslationRunRecipe)
ReadT = TypeVar("ReadT")
_MADE_BY = {
    RunRecipe: "rl-abn train",
    VisionRunRecipe: "rl-abn vision train",
    TranslationRunRecipe: "rl-abn vision translate train",
}


class Run(Generic[RecipeT]):
    """A run folder: `recipe.toml`, `meta.json`, `metrics.jsonl` and what grows beside them.

    Args:
        path: The folder.
        recipe: The resolved recipe.
    """

    def __init__(self, path: Path, recipe: RecipeT) -> None:
        self.path = path
        self.recipe: RecipeT = recipe

    @classmethod
    def create(cls, path: Path, recipe: RecipeT, device: str, **meta: Any) -> Run[RecipeT]:
        """Makes a new run folder and writes down what the run is made of.

        Args:
            path: The folder; it may not exist, or be empty.
            recipe: The resolved recipe.
            device: The device, for the record.
            meta: More entries of `meta.json`.

        Raises:
            RlAbnError: If the folder cannot be written.
        """
        # Under a hidden name until it is whole: a kill leaves a run or none. The name has the
        # process in it, as two may make one run at the same moment: the second to rename is told.
        partial = path.with_name(f".{path.name}.partial.{os.getpid()}")
        try:
            for left in path.parent.glob(f".{glob.escape(path.name)}.partial*"):
                if left == partial or time.time() - left.stat().st_mtime > _OLD_S:
                    shutil.rmtree(left, ignore_errors=True)
            partial.mkdir(parents=True)
            write_recipe(partial, recipe)
            write_json(partial / META, {**provenance(device), **meta})
            partial.rename(path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None
        return cls(path, recipe)

    @overload
    @classmethod
    def open(cls, path: Path) -> Run[RunRecipe]: ...

    @overload
    @classmethod
    def open(cls, path: Path, track: type[OtherT]) -> Run[OtherT]: ...

    @classmethod
    def open(cls, path: Path, track: Any = RunRecipe) -> Run[Any]:
        """Opens a run folder.

        Args:
            path: The folder.
            track: Which track's run it has to be, by its recipe.

        Raises:
            RlAbnError: If it is none, or one of the other track.
        """
        with suppress(RlAbnError):  # what cannot be written can still be read
            settle(path)
        check_is_run(path, _MADE_BY[track])
        return Run(path, load_run(path / RECIPE, track))

    def with_train(self, **changes: Any) -> Run[RecipeT]:
        """Writes down other values of fields in the recipe's train table, such as `steps`."""
        agent = self.recipe.agent
        more = agent.model_copy(update={"train": agent.train.model_copy(update=changes)})
        recipe = self.recipe.model_copy(update={"agent": more})
        write_recipe(self.path, recipe)
        return Run(self.path, recipe)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, oldest first."""
        return checkpoints.list_checkpoints(self.path / "checkpoints")

    @property
    def recoveries(self) -> list[Checkpoint]:
        """The recovery checkpoint since the newest regular one, if there is one."""
        return checkpoints.list_recoveries(self.path / "checkpoints")

    @property
    def status(self) -> str:
        """What `meta.json` says of the training; "killed" where it is said to run and does not.

        Raises:
            RlAbnError: If `meta.json` is damaged.
        """
        status = str(read_json(self.path / META).get("status"))
        return "killed" if status == "running" and holder_of(self.path) is None else status

    def mend_status(self) -> None:
        """Writes down that the training was killed, where that is so; failing to is no error."""
        with suppress(RlAbnError):
            if self.status == "killed":
                self.update_meta(status="killed")

    @property
    def is_imported(self) -> bool:
        """Whether the weights came from another program or an export, without an optimizer.

        Raises:
            RlAbnError: If `meta.json` is damaged.
        """
        return "imported" in read_json(self.path / META)

    @property
    def is_foreign(self) -> bool:
        """Whether another program trained the weights.

        Raises:
            RlAbnError: If `meta.json` is damaged.
        """
        imported = read_json(self.path / META).get("imported")
        return isinstance(imported, dict) and imported.get("kind") != EXPORTED

    def checkpoint(self, step: CheckpointChoice = None) -> Checkpoint:
        """Returns the newest checkpoint, the one of a step, or the "best".

        Raises:
            RlAbnError: If there is none.
        """
        if step == "best":
            return best_checkpoint(self.path)
        found = self.checkpoints or self.recoveries
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

    def newest_whole(self, read: Callable[[Checkpoint], ReadT]) -> tuple[Checkpoint, ReadT] | None:
        """Finds the newest checkpoint that can be read, a recovery checkpoint too.

        A damaged one is named on standard error and renamed, and the one before it is tried; the
        run ends the same, as what lies in between is trained again exactly.

        Args:
            read: Reads and checks all of a checkpoint, and changes nothing.

        Returns:
            The checkpoint and what was read, or None where the run has none yet.

        Raises:
            RlAbnError: If there are checkpoints and none is whole; they stay where they are.
        """
        damaged: list[tuple[Checkpoint, str]] = []
        # At equal steps the regular one comes first.
        all_of_them = sorted([*self.recoveries, *self.checkpoints], key=lambda found: found.step)
        for checkpoint in reversed(all_of_them):
            try:
                stored = read(checkpoint)
            except RlAbnError as error:
                damaged.append((checkpoint, str(error)))
                continue
            for bad, why in damaged:
                aside = checkpoints.set_aside(bad)
                warn(f"{why}; set aside as {aside.name}, going on from step {checkpoint.step}")
            return checkpoint, stored
        if not damaged:
            return None
        raise RlAbnError(
            f"expected a whole checkpoint to go on from, got {len(damaged)} damaged; the newest: "
            f"{damaged[0][1]}; use --on-exists new or overwrite"
        )

    def weights(self, checkpoint: Checkpoint, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Reads a checkpoint's weights and checks that they are a model's.

        Args:
            checkpoint: One of the run's.
            expected: The model's state dict.

        Raises:
            RlAbnError: If they are damaged or not this model's; it names the newest that are
                whole.
        """
        try:
            return checkpoints.read_weights(checkpoint, expected)
        except RlAbnError as error:
            whole = self._newest_weights(expected, but=checkpoint)
            hint = "" if whole is None else f"; the newest whole one: --checkpoint {whole.step}"
            raise RlAbnError(f"{error}{hint}") from None

    def _newest_weights(
        self, expected: Mapping[str, Tensor], *, but: Checkpoint
    ) -> Checkpoint | None:
        for checkpoint in reversed(self.checkpoints):
            if checkpoint != but:
                with suppress(RlAbnError):
                    checkpoints.read_weights(checkpoint, expected)
                    return checkpoint
        return None

    def save_checkpoint(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        training: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        recovery: bool = False,
    ) -> Checkpoint:
        """Saves a checkpoint under a temporary name, flushes it to disk and renames it.

        A run that this one replaces is removed then, unless the checkpoint is only what a training
        begins with.

        Args:
            step: Agent steps trained, or epochs.
            weights: The model's state dict.
            training: Optimizer moments and random-number states.
            state: Counters and the like, as JSON.
            recovery: Whether it is a recovery checkpoint, which the next checkpoint replaces.

        Raises:
            RlAbnError: If it cannot be written, or a weight is NaN or infinite; what was there
                before is untouched.
        """
        folder = self.path / "checkpoints"
        self._check_finite(step, weights)
        saved = checkpoints.save_checkpoint(
            folder, step, weights, training, state, recovery=recovery
        )
        if replaces(self.path):
            remove_replaced(self.path)
        return saved

    def diverged(self, what: str, when: str) -> RlAbnError:
        """Returns the error of a training whose numbers are no numbers any more.

        Args:
            what: What became what: "the loss became NaN".
            when: When: "at step 2,048" or "in epoch 3".
        """
        found = self.recoveries[-1:] or self.checkpoints[-1:]
        last = (
            f"the last good checkpoint is {found[0].path}" if found else "no checkpoint was saved"
        )
        table = "algorithm" if isinstance(self.recipe, RunRecipe) else "optimizer"
        return RlAbnError(
            f"{self.path}: {what} {when}; {last}; lower the learning rate ({table}.learning_rate)"
        )

    def _check_finite(self, step: int, weights: Mapping[str, Tensor]) -> None:
        for name, tensor in weights.items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                unit = "in epoch" if isinstance(self.recipe, VisionRunRecipe) else "at step"
                raise self.diverged(f"weights became NaN or infinite ({name})", f"{unit} {step:,}")

    def remove_old_checkpoints(self) -> None:
        """Keeps as many of the newest checkpoints as `train.keep` says."""
        checkpoints.remove_older(self.path / "checkpoints", self.recipe.agent.train.keep)

    def recover(self) -> None:
        """Finishes or removes what a killed training left half done.

        Raises:
            RlAbnError: If the folder cannot be written.
        """
        checkpoints.recover(self.path / "checkpoints")
        for folder in (self.path, self.path / "attention", self.path / "attention" / "maps"):
            for partial in folder.glob(".*.partial"):
                with suppress(OSError):
                    partial.unlink()

    @property
    def wall_time_s(self) -> float:
        """How long the run was trained so far, in seconds, as `meta.json` has it.

        Raises:
            RlAbnError: If `meta.json` is damaged.
        """
        seconds = read_json(self.path / META).get("wall_time_s")
        return seconds if isinstance(seconds, float) and math.isfinite(seconds) else 0.0

    def update_meta(self, **changes: Any) -> None:
        """Changes entries of `meta.json`.

        Raises:
            RlAbnError: If it cannot be read or written.
        """
        write_output(self.path / META, {**read_json(self.path / META), **changes})


def check_is_run(path: Path, how: str = "rl-abn train", names: Sequence[str] = ()) -> None:
    """Refuses what is no run folder, of either track.

    Args:
        path: The folder.
        how: The command that makes one.
        names: What else could have been meant.

    Raises:
        RlAbnError: With the nearest run there is, or the nearest name.
    """
    if kind_of(path / RECIPE) != "a file":
        runs = [str(found.parent) for found in Path("runs").glob(f"*/*/*/{RECIPE}")]
        otherwise = None if runs else f"train one with '{how}'"
        hint = did_you_mean(str(path), [*runs, *names], otherwise)
        got = kind_of(path)
        got = f"a folder without {RECIPE}" if got == "a folder" else got or "no such folder"
        raise RlAbnError(f"expected a run folder, got '{path}' ({got}); {hint}")


def write_recipe(folder: Path, recipe: RunRecipe | VisionRunRecipe | TranslationRunRecipe) -> None:
    """Writes a resolved recipe into a run folder.

    Raises:
        RlAbnError: If it cannot be written.
    """
    plain = recipe.model_dump(mode="json", exclude_none=True)
    try:
        write_atomically(folder / RECIPE, tomli_w.dumps(plain))
    except OSError as error:
        raise RlAbnError(f"{folder / RECIPE}: cannot be written: {error.strerror}") from None
