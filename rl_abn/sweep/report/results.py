"""Reads what the units of a sweep have so far: curves, reliance on maps, evaluations."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.recipes.env import Scores
from rl_abn.runs import METRICS, RECIPE, Run
from rl_abn.runs.metrics import read_metrics
from rl_abn.sweep.plan import Plan, Unit
from rl_abn.sweep.unit import evaluation_file, is_trained

RETURN = "rollout/ep_rew_mean"
RELIANCE = "attention/reliance_"


class SeedResult(NamedTuple):
    """What one training has so far.

    Attributes:
        name: The unit's, which is its run folder in the sweep's.
        seed: Of the training.
        steps: Agent steps of the logging points that have a return, int64 [P].
        returns: Mean return of the last 100 training games there, float64 [P].
        trained: Whether it is finished.
        reliance: The last map reliance in nats, by what the maps were replaced with; empty where
            none was logged.
        scores: Mean raw score of the evaluation by player: "agent", an intervention's label,
            "blind: frozen", "random"; empty where it was not evaluated.
    """

    name: str
    seed: int
    steps: np.ndarray
    returns: np.ndarray
    trained: bool
    reliance: dict[str, float]
    scores: dict[str, float]

    @property
    def final(self) -> float | None:
        """Mean return of the final 100 training games; None before the first game ends."""
        return float(self.returns[-1]) if len(self.returns) else None


class ArmResult(NamedTuple):
    """What an agent with its settings has so far on a game.

    Attributes:
        game: The game's name in folders.
        label: The agent's name, with the arm's.
        length: Agent steps of each training.
        planned: How many seeds it is to have.
        seeds: Of the seeds that were begun.
        reference: Scores of a random player and a human; None where they are not known.
    """

    game: str
    label: str
    length: int
    planned: int
    seeds: list[SeedResult]
    reference: Scores | None

    @property
    def trained(self) -> list[SeedResult]:
        """The seeds whose training is finished."""
        return [seed for seed in self.seeds if seed.trained]

    @property
    def said(self) -> str:
        """How many seeds there are, as tables say it."""
        n = len(self.trained)
        of = "" if n == self.planned else f" of {self.planned}"
        if n == 1:
            return f"1{of}, single run"
        return f"{n}{of}"


def collect(plan: Plan) -> list[ArmResult]:
    """Reads the results of a sweep, finished or not, in the plan's order.

    A run that is damaged counts as one that was not begun.
    """
    arms: dict[tuple[str, str], ArmResult] = {}
    for unit in plan.units:
        key = unit.env_name, unit.label
        if key not in arms:
            arms[key] = ArmResult(*key, unit.steps, 0, [], None)
        arm = arms[key]._replace(planned=arms[key].planned + 1)
        folder = plan.out / unit.name
        if (folder / RECIPE).is_file():
            with suppress(RlAbnError, OSError):
                arm.seeds.append(_seed_result(unit, folder))
                arm = arm._replace(reference=Run.open(folder).recipe.env.scores)
        arms[key] = arm
    return list(arms.values())


def _seed_result(unit: Unit, folder: Path) -> SeedResult:
    metrics = folder / METRICS
    rows = read_metrics(metrics) if metrics.is_file() else []
    points = [(row["step"], row[RETURN]) for row in rows if _is_number(row.get(RETURN))]
    reliance = {}
    for row in rows:
        for key, value in row.items():
            name = key.removeprefix(RELIANCE)
            if name != key and not name.endswith("_value") and _is_number(value):
                reliance[name] = float(value)
    return SeedResult(
        name=unit.name,
        seed=unit.seed,
        steps=np.array([step for step, _ in points], dtype=np.int64),
        returns=np.array([mean for _, mean in points], dtype=np.float64),
        trained=is_trained(unit, folder),
        reliance=reliance,
        scores=_scores(unit, folder),
    )


def _scores(unit: Unit, folder: Path) -> dict[str, float]:
    if unit.eval is None or not (file := evaluation_file(unit.eval, folder)).is_file():
        return {}
    scores = {}
    found = read_json(file).get("evaluations")
    for i, evaluation in enumerate(found if isinstance(found, list) else []):
        mean = _dig(evaluation, "mean", "value")
        player = _dig(evaluation, "player")
        if _is_number(mean) and isinstance(player, str):
            scores["agent" if i == 0 else player] = float(mean)
    return scores


def _dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
