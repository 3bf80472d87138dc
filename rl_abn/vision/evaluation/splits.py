"""Opens what a trained run is asked about: test pictures, or what it held out or learned."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from rl_abn.errors import RlAbnError
from rl_abn.vision.data import splits_of
from rl_abn.vision.data.examples import DataSet, Examples, open_test, open_training
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.training.build import VisionRun

SplitName = Literal["test", "held_out"]


def usual_split(run: VisionRun, path: Path) -> SplitName:
    """Returns the test pictures' name where there are any, and otherwise what is held out's."""
    drives = run.recipe.env.kind == "driving"
    return "held_out" if drives or "test" not in splits_of(path) else "test"


def open_split(
    run: VisionRun, outputs: Outputs, path: Path, split: SplitName, device: torch.device
) -> Examples:
    """Opens pictures that a run did not learn from; they are decoded when they are read.

    Args:
        run: The run.
        outputs: What its network's outputs mean.
        path: Where the data lies.
        split: Which of them.
        device: Where they go.

    Raises:
        RlAbnError: If there are none, or it is not the run's data.
    """
    if split == "test":
        return open_test(run.recipe, outputs, path, device)
    data = open_learned(run, outputs, path, device)
    if data.held_out is None:
        raise RlAbnError(
            f"{run.path}: expected a run that holds pictures out, got train.held_out = 0"
        )
    return data.held_out


def open_learned(
    run: VisionRun, outputs: Outputs, path: Path, device: torch.device, *, hold: bool = False
) -> DataSet:
    """Opens what a run learned from and what it held out.

    Args:
        run: The run.
        outputs: What its network's outputs mean.
        path: Where the data lies.
        device: Where pictures go.
        hold: Whether pictures are decoded now, and not when they are read.

    Raises:
        RlAbnError: If it is not the run's data.
    """
    data = open_training(run.recipe, path, device, hold=hold)
    if data.outputs.train_sha256 != outputs.train_sha256:
        raise RlAbnError(
            f"{path}: expected the set the run was trained on, to know what was held out, "
            "got other pictures or targets"
        )
    return data
