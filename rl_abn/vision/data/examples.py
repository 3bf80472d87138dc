"""Pictures and their targets: what a run learns from, holds out and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.recipes.vision import ControlsTable
from rl_abn.vision.data import (
    DrivingLog,
    Labelled,
    Pictures,
    Split,
    block_folds,
    hold_out,
    open_driving_log,
    open_labelled,
    splits_of,
)
from rl_abn.vision.driving.control_classes import learn_classes
from rl_abn.vision.driving.control_targets import driven, speed_seen
from rl_abn.vision.tasks import Task, task_named, tasks_for
from rl_abn.vision.tasks.controls import CONTROLS
from rl_abn.vision.tasks.outputs import Bins, Outputs

# Not the run's seed: all runs on a set hold out the same pictures, and can be compared on them.
_HELD_OUT_SEED = 0


class Drive(NamedTuple):
    """What is known of frames in a row beside their pictures.

    Attributes:
        blocks: Which uninterrupted stretch each frame belongs to, [N].
        previous: The driver's controls one frame before; at the start of a stretch, NaN. [N, 2].
        log: The whole drive, of which the frames are some.
    """

    blocks: Int64[Tensor, " N"]
    previous: Float[Tensor, "N 2"]
    log: DrivingLog


@dataclass(frozen=True, eq=False)
class Examples:
    """N pictures and what belongs to each.

    Attributes:
        pictures: Those of the whole set.
        indices: Which of them, [N], on the CPU.
        targets: Classes, int64 [N]; yes or no, float32 [N, T]; or controls, float32 [N, 2], also
            where the network classifies them. On the device.
        speed: The vehicle's, as networks see it, [N], on the device; None where there is none.
        drive: Of a drive's frames.
        names: What each picture of the whole set is called.
    """

    pictures: Pictures
    indices: Int64[Tensor, " N"]
    targets: Shaped[Tensor, "N ..."]
    speed: Float[Tensor, " N"] | None = None
    drive: Drive | None = None
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def own_names(self) -> list[str]:
        """What the N pictures are called."""
        return [self.names[i] for i in self.indices.tolist()]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the N pictures' names and targets, in hexadecimal."""
        hashed = sha256()
        for name in self.own_names:
            hashed.update(name.encode("utf-8", "replace") + b"\0")
        hashed.update(self.targets.cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()

    def in_memory(self) -> Examples:
        """Returns the same with its pictures in memory, where they fit.

        Raises:
            RlAbnError: If one of them cannot be decoded.
        """
        return replace(self, pictures=self.pictures.in_memory(self.indices))

    def chosen(self, numbers: Int64[Tensor, " n"]) -> Examples:
        """Returns some of them.

        Args:
            numbers: Which, 0 to N - 1, on the CPU.
        """
        on_device = numbers.to(self.targets.device)
        drive = self.drive
        return Examples(
            self.pictures,
            self.indices[numbers],
            self.targets[on_device],
            None if self.speed is None else self.speed[on_device],
            drive and Drive(drive.blocks[numbers], drive.previous[numbers], drive.log),
            self.names,
        )


class DataSet(NamedTuple):
    """What a run is trained on.

    Attributes:
        train: To learn from.
        held_out: To be looked at after every epoch; None where nothing is held out.
        outputs: What the network's outputs mean.
        notes: What was got round, a line each.
    """

    train: Examples
    held_out: Examples | None
    outputs: Outputs
    notes: tuple[str, ...] = ()


def task_of(recipe: VisionRunRecipe) -> Task:
    """Returns what a recipe's network is trained to do: what it says, or what its data is for.

    Raises:
        RlAbnError: If there is no such task.
    """
    name = recipe.agent.network.task
    return tasks_for(recipe.env.kind)[0] if name is None else task_named(name)


def open_training(
    recipe: VisionRunRecipe, path: str | Path, device: torch.device, *, hold: bool = True
) -> DataSet:
    """Opens what a recipe learns from and what it holds out.

    Args:
        recipe: The run's.
        path: Where the data lies.
        device: Where pictures and targets go.
        hold: Whether pictures are decoded now, and not when they are read.

    Raises:
        RlAbnError: If there is no such data, or it is of another kind than the recipe says.
    """
    if recipe.env.kind == "driving":
        return _open_drive(recipe, path, device, hold)
    train = _open_split(recipe, path, "train", device, hold)
    share = recipe.agent.train.held_out
    everything = torch.arange(len(train.targets))
    if "val" in splits_of(path):
        split = Split(everything, everything[:0])
        val = _open_split(recipe, path, "val", device, hold)
        held_out = _labelled_examples(val, torch.arange(len(val.targets)), device)
    elif share > 0:
        split = hold_out(train.targets, share, _HELD_OUT_SEED)
        held_out = _labelled_examples(train, split.held_out, device)
    else:
        split, held_out = Split(everything, everything[:0]), None
    learned = _labelled_examples(train, split.train, device)
    outputs = Outputs(
        task=task_of(recipe),
        names=_printable(train.class_names),
        size=train.pictures.size,
        n_train=len(split.train),
        n_held_out=0 if held_out is None else len(held_out),
        train_sha256=learned.fingerprint,
    )
    return DataSet(learned, held_out, outputs)


def open_test(
    recipe: VisionRunRecipe, outputs: Outputs, path: str | Path, device: torch.device
) -> Examples:
    """Opens the pictures a set keeps for tests; they are decoded when they are read.

    Raises:
        RlAbnError: If there are none, or they have other classes than the network.
    """
    if recipe.env.kind == "driving":
        fold = recipe.env.folds.fold if recipe.env.folds else 0
        raise RlAbnError(
            f"expected --split held_out for a drive, whose fold {fold} is held out, got 'test'"
        )
    test = _open_split(recipe, path, "test", device, hold=False)
    if _printable(test.class_names) != outputs.names:
        raise RlAbnError(
            f"{path}: expected the {len(outputs.names)} {recipe.env.kind} the network was trained "
            f"on, got {len(test.class_names)} others"
        )
    return _labelled_examples(test, torch.arange(len(test.targets)), device)


def _open_split(
    recipe: VisionRunRecipe, path: str | Path, split: str, device: torch.device, hold: bool
) -> Labelled:
    pictures = recipe.env.pictures
    labelled = open_labelled(
        path,
        split=split,
        size=pictures.size,
        short_side=pictures.short_side,
        device=device,
        hold=hold,
    )
    got = "attributes" if labelled.has_attributes else "classes"
    if got != recipe.env.kind:
        raise RlAbnError(
            f"{path}: expected a set with {recipe.env.kind}, as '{recipe.env_name}' says, "
            f"got one with {got}"
        )
    return labelled


def _labelled_examples(
    labelled: Labelled, indices: Int64[Tensor, " n"], device: torch.device
) -> Examples:
    targets = labelled.targets[indices].to(device)
    return Examples(labelled.pictures, indices, targets, names=labelled.names)


def _open_drive(
    recipe: VisionRunRecipe, path: str | Path, device: torch.device, hold: bool
) -> DataSet:
    folds, controls = recipe.env.folds, recipe.env.controls
    assert folds is not None
    assert controls is not None
    pictures = recipe.env.pictures
    log = open_driving_log(path, size=pictures.size, rows=pictures.rows, device=device, hold=hold)
    split = block_folds(log.blocks, folds.k, folds.margin)[folds.fold]
    targets = driven(log, controls)
    learned = targets[split.train]
    task = task_of(recipe)
    classes = learn_classes(controls, learned) if task.categorical else None
    steering, pedal = learned.mean(dim=0).tolist()
    train, held_out = (
        _drive_examples(log, targets, indices, controls, device)
        for indices in (split.train, split.held_out)
    )
    outputs = Outputs(
        task=task,
        names=CONTROLS if classes is None else classes.names,
        size=log.pictures.size,
        bins=None if classes is None or classes.bins is None else Bins.of(classes.bins),
        mean_controls=None if classes is not None and classes.acts else (steering, pedal),
        n_train=len(split.train),
        n_held_out=len(split.held_out),
        train_sha256=train.fingerprint,
    )
    return DataSet(train, held_out, outputs, log.notes)


def _drive_examples(
    log: DrivingLog,
    targets: Float[Tensor, "N 2"],
    indices: Int64[Tensor, " n"],
    controls: ControlsTable,
    device: torch.device,
) -> Examples:
    previous = targets.roll(1, dims=0)
    began = log.blocks.diff(prepend=log.blocks[:1] - 1) != 0
    previous[began] = torch.nan
    return Examples(
        log.pictures,
        indices,
        targets[indices].to(device),
        speed_seen(log.speed[indices], controls).to(device),
        Drive(log.blocks[indices], previous[indices], log),
        log.names,
    )


def _printable(names: Sequence[str]) -> tuple[str, ...]:
    """Names come from folders and tables of strangers, and are shown on terminals."""
    return tuple((name if name.isprintable() else ascii(name))[:255] for name in names)
