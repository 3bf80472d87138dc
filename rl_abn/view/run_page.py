"""What the page shows of a run: settings, curves, checkpoints, evaluation."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.runs import METRICS
from rl_abn.runs.best import BEST
from rl_abn.runs.checkpoints import list_checkpoints
from rl_abn.runs.metrics import read_metrics
from rl_abn.runs.origin import origin_lines
from rl_abn.view.certificates import certificate_of_run
from rl_abn.view.library import FoundRun, Library
from rl_abn.view.painted import intervention_labels
from rl_abn.view.record_job import MOST_STEPS, STEPS
from rl_abn.view.scores import scores_of_run
from rl_abn.view.sheets import list_sheets

MOST_POINTS = 500
MOST_BYTES = 2**28
_DIGITS = 5


def run_page(found: FoundRun, library: Library) -> dict[str, Any]:
    """Returns what the page shows of a run, for JSON."""
    run = found.run
    recipe = run.recipe.model_dump(mode="json", exclude_none=True)
    agent = recipe.get("agent", {})
    tables = {name: value for name, value in agent.items() if isinstance(value, dict)}
    plain = {name: value for name, value in recipe.items() if not isinstance(value, dict)}
    status = None
    with suppress(RlAbnError):
        status = run.status
    best = list_checkpoints(run.path / "checkpoints", BEST)
    return {
        "id": found.id,
        "name": run.path.name,
        "label": found.label,
        "track": found.track,
        "env": run.recipe.env_name,
        "env_title": found.title_of_env,
        "agent": run.recipe.agent_name,
        "status": status,
        "settings": {"run": plain, **tables},
        "curves": curves_of_run(found, library),
        "checkpoints": [point.step for point in run.checkpoints or run.recoveries],
        "best": best[-1].step if best else None,
        "episodes": library.episodes_of(found.id),
        "scores": scores_of_run(found, library),
        "certificate": certificate_of_run(found, library),
        "sheets": list_sheets(found, library),
        "origin": origin_lines(run) if found.track == "rl" else [],
        "has_pictures": found.track == "vision" and not found.is_detector,
        "can_record": found.track == "rl" and bool(run.checkpoints or run.recoveries),
        "record_steps": {"value": STEPS, "most": MOST_STEPS},
        "interventions": intervention_labels(_map_names(found)),
        "is_shipped": found.is_shipped,
    }


def _map_names(found: FoundRun) -> tuple[str, ...]:
    return found.run.recipe.agent.attention.map_names if found.track == "rl" else ()


def curves_of_run(found: FoundRun, library: Library) -> dict[str, list[float | None]]:
    """Returns the logged metrics by name, as many numbers as "steps" has, null where none was.

    Of more than 500 logging points every so many is taken.

    Raises:
        RlAbnError: If there are more than a page is made of.
    """
    path = found.run.path / METRICS
    # No pipe, which would be waited for, and nothing of elsewhere.
    if not path.is_file() or not library.is_inside(path):
        return {"steps": []}
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RlAbnError(
                f"{path}: expected at most {MOST_BYTES:,} bytes, got {path.stat().st_size:,}"
            )
        rows = read_metrics(path)
    except OSError:
        return {"steps": []}
    if len(rows) > MOST_POINTS:
        chosen = np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int)
        rows = [rows[i] for i in chosen.tolist()]
    names = sorted({name for row in rows for name in row} - {"step"})
    return {"steps": [row["step"] for row in rows]} | {
        name: [_number(row.get(name)) for row in rows] for name in names
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None
