"""What a run's agent scored in the evaluations that lie in the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from rl_abn.errors import RlAbnError
from rl_abn.estimates import mean
from rl_abn.files.text import read_json
from rl_abn.recipes.overrides import validate
from rl_abn.rl.evaluation.card import StoredEvaluation
from rl_abn.runs.best import BEST, EVALUATION
from rl_abn.runs.checkpoints import list_checkpoints
from rl_abn.view.library import FoundRun, Library

MOST_EVALUATIONS = 100
MOST_BYTES = 2**26


class _Evaluation(StoredEvaluation):
    max_steps: int | None = None


class _WhileTraining(BaseModel):
    """The games that a checkpoint was found to be the best by."""

    scores: Annotated[list[float], Field(min_length=1)]


def scores_of_run(found: FoundRun, library: Library) -> list[dict[str, Any]]:
    """Returns mean raw scores with 95% intervals, for JSON, those of later checkpoints first.

    They are those of `rl-abn eval`, and of the best checkpoint's games during the training. What
    cannot be read is left out.
    """
    if found.track != "rl":
        return []
    scores = [*_evaluations(found, library), *_while_training(found, library)]
    return sorted(scores, key=lambda score: -score["step"])


def _evaluations(found: FoundRun, library: Library) -> Iterator[dict[str, Any]]:
    paths = sorted((found.run.path / "evaluations").glob("*.json"))
    for path in paths[:MOST_EVALUATIONS]:
        with suppress(RlAbnError, IndexError):
            stored = validate(_Evaluation, _json(path, library), str(path))
            agent = stored.intact
            yield {
                "step": stored.step,
                "protocol": agent.protocol,
                "greedy": agent.greedy,
                "n_games": len(agent.games),
                "max_steps": stored.max_steps,
                "while_training": False,
                "mean": agent.mean._asdict(),
            }


def _while_training(found: FoundRun, library: Library) -> Iterator[dict[str, Any]]:
    for best in list_checkpoints(found.run.path / "checkpoints", BEST)[-1:]:
        path = best.path / EVALUATION
        with suppress(RlAbnError):
            scores = validate(_WhileTraining, _json(path, library), str(path)).scores
            yield {
                "step": best.step,
                "protocol": found.run.recipe.protocol_name,
                "greedy": False,
                "n_games": len(scores),
                "max_steps": None,
                "while_training": True,
                "mean": mean(np.array(scores))._asdict(),
            }


def _json(path: Path, library: Library) -> dict[str, Any]:
    """Reads a JSON object of what is served.

    Raises:
        RlAbnError: If it is none, is no file, lies elsewhere or is too large.
    """
    try:
        fits = path.is_file() and library.is_inside(path) and path.stat().st_size <= MOST_BYTES
    except OSError:
        fits = False
    if not fits:
        raise RlAbnError(f"{path}: expected a file of the run")
    return read_json(path)
