"""The best checkpoint of a run: the one whose evaluation games had the highest mean score.

It is a whole checkpoint beside the others, `checkpoints/best-STEP`, and no `train.keep` removes it.
A kill between two of them leaves both, of which the newest is the best.
Its `evaluation.json` has the score.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rl_abn.errors import RlAbnError
from rl_abn.files.text import flush, read_json, write_json
from rl_abn.runs.checkpoints import Checkpoint, list_checkpoints, name_of

EVALUATION = "evaluation.json"
BEST = "best"
CheckpointChoice = int | Literal["best"] | None
"""A checkpoint: the one of a step, the best, or None for the newest."""


def best_checkpoint(run: Path) -> Checkpoint:
    """Returns the best checkpoint of a run folder.

    Raises:
        RlAbnError: If the training kept none.
    """
    found = list_checkpoints(run / "checkpoints", BEST)
    if not found:
        steps = [checkpoint.step for checkpoint in list_checkpoints(run / "checkpoints")]
        newest = f"; the newest checkpoint is --checkpoint {steps[-1]}" if steps else ""
        raise RlAbnError(
            f"{run}: expected a best checkpoint, got none: the training was not evaluated "
            f"(train --eval-every N){newest}"
        )
    return found[-1]


def best_score(run: Path) -> float:
    """Returns the mean score of the best checkpoint's games, minus infinity where there is none."""
    found = list_checkpoints(run / "checkpoints", BEST)
    if not found:
        return -math.inf
    try:
        score = read_json(found[-1].path / EVALUATION).get("mean_score")
    except RlAbnError:
        return -math.inf  # a damaged one is no better than any
    return float(score) if isinstance(score, int | float) else -math.inf


def save_best(
    run: Path, step: int, evaluation: Mapping[str, Any], save: Callable[[Path], Checkpoint]
) -> Checkpoint:
    """Saves the best checkpoint so far; the one before it is removed when this one is whole.

    Args:
        run: The run folder.
        step: Agent steps trained.
        evaluation: What was measured; "mean_score" at least.
        save: Saves a checkpoint somewhere in the folder that it is given.

    Raises:
        RlAbnError: If it cannot be written; the one before it is untouched.
    """
    folder = run / "checkpoints"
    target = folder / name_of(step, BEST)
    before, making = list_checkpoints(folder, BEST), folder / ".best.partial"
    try:
        shutil.rmtree(making, ignore_errors=True)
        made = save(making)
        write_json(made.path / EVALUATION, dict(evaluation))
        flush(made.path)
        shutil.rmtree(target, ignore_errors=True)
        made.path.rename(target)
        flush(folder)
    except OSError as error:
        raise RlAbnError(f"{target}: the checkpoint cannot be written: {error}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    for old in before:
        if old.path != target:
            shutil.rmtree(old.path, ignore_errors=True)
    return Checkpoint(target, step)
