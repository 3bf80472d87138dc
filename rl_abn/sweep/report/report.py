"""Makes a sweep's report: numbers of every arm, comparisons between arms, files of both."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn.aggregates import (
    area_under_curve,
    interquartile_mean,
    mean_curve,
    normalised,
    probability_of_improvement,
)
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean
from rl_abn.files.text import write_output
from rl_abn.render.learning_curves import Curve, draw_learning_curves
from rl_abn.sweep.plan import Plan
from rl_abn.sweep.report.results import ArmResult, collect

FINAL, EVAL = "final", "eval"
AGENT = "agent"


class Row(NamedTuple):
    """An arm's numbers on a game, over its finished seeds; None where there is none.

    Attributes:
        arm: What was read of it.
        final: Mean return of the final 100 training games.
        area: Mean return over the whole training.
        scores: Mean raw score of the evaluation, by player; the agent itself is "agent".
        reliance: Map reliance at the end of the training, in nats, by what replaced the maps.
        curve: Mean return over steps, of all seeds that were begun.
    """

    arm: ArmResult
    final: Estimate | None
    area: Estimate | None
    scores: dict[str, Estimate]
    reliance: dict[str, Estimate]
    curve: Curve


class Aggregate(NamedTuple):
    """An arm's interquartile mean over all its games.

    Attributes:
        label: The arm's.
        measure: "final" or "eval".
        scale: "human-normalised" or "raw".
        n_runs: How many runs of how many games it is of.
        iqm: The interquartile mean.
    """

    label: str
    measure: str
    scale: str
    n_runs: int
    n_games: int
    iqm: Estimate


class Comparison(NamedTuple):
    """How probably a run of one arm scores more than a run of another on the same game.

    Attributes:
        label: The one.
        other: The other.
        measure: "final" or "eval".
        games: Those both have finished seeds of.
        probability: 0.5 says that neither is better.
    """

    label: str
    other: str
    measure: str
    games: tuple[str, ...]
    probability: Estimate


class Report(NamedTuple):
    """All that a sweep found so far.

    Attributes:
        name: Of the sweep.
        rows: Of every game and arm.
        aggregates: Of the arms that have a finished seed on each of their games.
        comparisons: Of every two arms that share a game.
        n_trained: Trainings that are finished.
        n_units: Trainings in all.
    """

    name: str
    rows: list[Row]
    aggregates: list[Aggregate]
    comparisons: list[Comparison]
    n_trained: int
    n_units: int

    @property
    def best(self) -> str | None:
        """Name of the run with the highest final return on the first game that has any."""
        seeds = [(row.arm.game, seed) for row in self.rows for seed in row.arm.trained]
        finals = [(game, seed.final, seed.name) for game, seed in seeds if seed.final is not None]
        return max(found for found in finals if found[0] == finals[0][0])[2] if finals else None


def make_report(plan: Plan) -> Report:
    """Reads a sweep's folder and computes its report; the sweep may be unfinished.

    Raises:
        RlAbnError: If no training of the sweep was begun.
    """
    arms = collect(plan)
    if not any(arm.seeds for arm in arms):
        raise RlAbnError(f"{plan.out}: expected trainings to report on, got none yet")
    aggregates, comparisons = [], []
    for measure in (FINAL, EVAL):
        of_labels = {
            label: _scores_by_game([arm for arm in arms if arm.label == label], measure)
            for label in dict.fromkeys(arm.label for arm in arms)
        }
        references = {arm.game: arm.reference for arm in arms if arm.reference is not None}
        pairs = {game: (scores.random, scores.human) for game, scores in references.items()}
        for label, scores in of_labels.items():
            n_games = sum(arm.label == label for arm in arms)
            aggregate = _aggregate(label, measure, scores, pairs)
            if aggregate is not None and len(scores) == n_games:
                aggregates.append(aggregate)
        for one, other in itertools.combinations(of_labels, 2):
            games = tuple(game for game in of_labels[one] if game in of_labels[other])
            if games:
                probability = probability_of_improvement(
                    [of_labels[other][game] for game in games],
                    [of_labels[one][game] for game in games],
                )
                comparisons.append(Comparison(other, one, measure, games, probability))
    return Report(
        plan.name,
        [_row(arm) for arm in arms],
        aggregates,
        comparisons,
        sum(seed.trained for arm in arms for seed in arm.seeds),
        len(plan.units),
    )


def write_report(report: Report, folder: Path, text: str) -> list[Path]:
    """Writes a report as text, CSV, JSON and a picture; returns the files.

    There is no picture before the first training game has ended.

    Raises:
        RlAbnError: If they cannot be written.
    """
    files: dict[str, Any] = {
        "report.txt": text.encode(),
        "table.csv": _csv(table_rows(report)),
        "curves.csv": _csv(curve_rows(report)),
        "report.json": as_json(report),
    }
    lines = [
        (row.arm.game, row.arm.label, _legend(row.arm), row.curve)
        for row in report.rows
        if len(row.curve.steps)
    ]
    if lines:
        files["curves.png"] = draw_learning_curves(lines, report.name)
    for name, data in files.items():
        write_output(folder / name, data)
    return [folder / name for name in files]


def as_json(report: Report) -> dict[str, Any]:
    """Returns plain data for JSON."""
    return {
        "name": report.name,
        "trained": report.n_trained,
        "trainings": report.n_units,
        "arms": [_row_as_json(row) for row in report.rows],
        "interquartile_means": [
            {**aggregate._asdict(), "iqm": aggregate.iqm._asdict()}
            for aggregate in report.aggregates
        ],
        "probabilities_of_improvement": [
            {**comparison._asdict(), "probability": comparison.probability._asdict()}
            for comparison in report.comparisons
        ],
    }


def table_rows(report: Report) -> list[dict[str, object]]:
    """Returns a row for each game and arm, of plain numbers by heading."""
    rows: list[dict[str, object]] = []
    for row in report.rows:
        cells: dict[str, object] = {
            "game": row.arm.game,
            "arm": row.arm.label,
            "seeds": len(row.arm.trained),
            "seeds_planned": row.arm.planned,
            "steps": row.arm.length,
        }
        numbers = {"final_return": row.final, "auc": row.area}
        numbers |= {f"score_{player}": score for player, score in row.scores.items()}
        numbers |= {f"reliance_{how}": nats for how, nats in row.reliance.items()}
        for name, number in numbers.items():
            cells |= {
                name: None if number is None else number.value,
                f"{name}_low": None if number is None else number.low,
                f"{name}_high": None if number is None else number.high,
            }
        rows.append(cells)
    return rows


def curve_rows(report: Report) -> list[dict[str, object]]:
    """Returns a row for each point of each curve."""
    return [
        {
            "game": row.arm.game,
            "arm": row.arm.label,
            "step": int(step),
            "seeds": int(n),
            "mean_return": float(middle),
            "low": None if math.isnan(low) else float(low),
            "high": None if math.isnan(high) else float(high),
        }
        for row in report.rows
        for step, middle, low, high, n in zip(*row.curve, strict=True)
    ]


def _row(arm: ArmResult) -> Row:
    seeds = arm.trained
    evaluated = [seed for seed in seeds if seed.scores]
    players = list(dict.fromkeys(player for seed in evaluated for player in seed.scores))
    ways = list(dict.fromkeys(way for seed in seeds for way in seed.reliance))
    return Row(
        arm,
        _over(seed.final for seed in seeds),
        _over(
            area_under_curve(seed.steps, seed.returns, arm.length)
            for seed in seeds
            if len(seed.returns)
        ),
        _each([seed.scores for seed in evaluated], players),
        _each([seed.reliance for seed in seeds], ways),
        mean_curve([(seed.steps, seed.returns) for seed in arm.seeds]),
    )


def _over(values: Iterable[float | None]) -> Estimate | None:
    found = [value for value in values if value is not None]
    return mean(np.array(found)) if found else None


def _each(of_seeds: Sequence[dict[str, float]], names: Sequence[str]) -> dict[str, Estimate]:
    found = {name: _over(numbers.get(name) for numbers in of_seeds) for name in names}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _scores_by_game(arms: Sequence[ArmResult], measure: str) -> dict[str, np.ndarray]:
    """Returns what each finished seed scored, by game; games without any are left out."""
    scores = {}
    for arm in arms:
        found = [seed.final if measure == FINAL else seed.scores.get(AGENT) for seed in arm.trained]
        values = [value for value in found if value is not None]
        if values:
            scores[arm.game] = np.array(values, dtype=np.float64)
    return scores


def _aggregate(
    label: str,
    measure: str,
    scores: dict[str, np.ndarray],
    references: dict[str, tuple[float, float]],
) -> Aggregate | None:
    on_one_scale = normalised(scores, references) if scores else None
    if on_one_scale is None:
        return None
    scale = "human-normalised" if all(game in references for game in scores) else "raw"
    n_runs = sum(map(len, on_one_scale))
    iqm = interquartile_mean(on_one_scale)
    return Aggregate(label, measure, scale, n_runs, len(scores), iqm)


def _legend(arm: ArmResult) -> str:
    n = len([seed for seed in arm.seeds if len(seed.returns)])
    said = "single run" if n == 1 else f"{n} seeds"
    return f"{arm.label} ({said}" + (f" of {arm.planned})" if n < arm.planned else ")")


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "game": row.arm.game,
        "arm": row.arm.label,
        "steps": row.arm.length,
        "seeds_planned": row.arm.planned,
        "seeds": [
            {
                "run": seed.name,
                "seed": seed.seed,
                "trained": seed.trained,
                "final_return": seed.final,
                "scores": seed.scores,
                "reliance": seed.reliance,
            }
            for seed in row.arm.seeds
        ],
        "final_return": row.final and row.final._asdict(),
        "auc": row.area and row.area._asdict(),
        "scores": {player: score._asdict() for player, score in row.scores.items()},
        "reliance": {how: nats._asdict() for how, nats in row.reliance.items()},
    }


def _csv(rows: Sequence[dict[str, object]]) -> bytes:
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, headings, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
