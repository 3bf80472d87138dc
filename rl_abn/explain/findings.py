"""What a study found, as numbers with intervals: how a map does beside its controls and rivals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_abn.estimates import Estimate, mean
from rl_abn.explain.fidelity import FineTuning
from rl_abn.explain.ranking import Ranking, rank
from rl_abn.explain.removal import METRICS
from rl_abn.explain.study import FIDELITY, Study

HEADLINE = METRICS
"""Deletion and insertion, over all substrates: by these maps are called better or worse."""


class Beside(NamedTuple):
    """The studied map minus another, picture by picture, by metric.

    Attributes:
        name: The other map.
        group: Of the other map.
        differences: By metric; above 0 the studied map is better.
    """

    name: str
    group: str
    differences: dict[str, Estimate]

    @property
    def verdict(self) -> str:
        """Returns "better", "worse", "alike" or "mixed", by the intervals of the differences."""
        up = any(d.is_above(0) for d in self.differences.values())
        down = any(d.is_below(0) for d in self.differences.values())
        if up and down:
            return "mixed"
        return "better" if up else "worse" if down else "alike"


class Findings(NamedTuple):
    """Numbers of a study.

    Attributes:
        primary: Name of the map that the study is of.
        response: What the comparisons are by.
        scores: By map, then by "deletion", "insertion" and "sensitivity": the mean over the
            pictures, over all substrates.
        beside: Every other map.
        ranking: Over all metrics but F-Fidelity, all substrates and responses.
        contrast: By map: standard deviation over mean size of its cells.
        sanity: Numbers on randomisation and stability, by name.
        fine_tuning: How far that of F-Fidelity came; None without F-Fidelity.
    """

    primary: str
    response: str
    scores: dict[str, dict[str, Estimate]]
    beside: list[Beside]
    ranking: Ranking
    contrast: dict[str, float]
    sanity: dict[str, dict[str, Estimate]]
    fine_tuning: FineTuning | None = None

    def of_group(self, *groups: str) -> list[Beside]:
        """Returns the comparisons with the maps of some groups."""
        return [each for each in self.beside if each.group in groups]

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        return {
            "map": self.primary,
            "response": self.response,
            "scores": {
                name: {metric: value._asdict() for metric, value in scores.items()}
                for name, scores in self.scores.items()
            },
            "differences": {
                each.name: {
                    "group": each.group,
                    "verdict": each.verdict,
                    **{metric: value._asdict() for metric, value in each.differences.items()},
                }
                for each in self.beside
            },
            "ranks": {
                "maps": list(self.ranking.maps),
                "metrics": list(self.ranking.metrics),
                "ranks": self.ranking.ranks.tolist(),
                "mean_rank": self.ranking.mean_rank.tolist(),
                "agreement_kendalls_w": self.ranking.agreement,
            },
            "contrast": self.contrast,
            "sanity": {
                name: {what: value._asdict() for what, value in values.items()}
                for name, values in self.sanity.items()
            },
            "fine_tuning": self.fine_tuning and self.fine_tuning._asdict(),
        }


def findings(study: Study, response: str | None = None, seed: int = 0) -> Findings:
    """Computes what a study found.

    Args:
        study: The study.
        response: What maps are compared by; None is the study's first.
        seed: Of the bootstrap over pictures.
    """
    response = response or study.responses[0]
    metrics = list(dict.fromkeys(metric for metric, _, what in study.metrics if what == response))
    values = {
        name: {metric: study.over_substrates(name, metric, response) for metric in metrics}
        for name in study.maps
    }
    beside = [
        Beside(
            name,
            study.groups[name],
            {metric: mean(values[study.primary][metric] - of[metric], seed) for metric in HEADLINE},
        )
        for name, of in values.items()
        if name != study.primary
    ]
    every = {
        name: {
            f"{metric}, {substrate}, {what}": float(
                study.numbers[name, metric, substrate, what].mean()
            )
            for metric, substrate, what in study.metrics
            if metric != FIDELITY  # provisional: its number depends on how far fine-tuning came
        }
        for name in study.maps
        if study.groups[name] != "inverse"
    }
    return Findings(
        study.primary,
        response,
        {name: {m: mean(v, seed) for m, v in of.items()} for name, of in values.items()},
        beside,
        rank(every),
        {name: _contrast(maps) for name, maps in study.maps.items()},
        _sanity(study, seed),
        study.fine_tuning,
    )


def mean_changes(
    arrays: Mapping[str, np.ndarray], response: str, seed: int = 0
) -> dict[str, Estimate]:
    """Returns the mean change of answers by intervention.

    Args:
        arrays: By "INTERVENTION|RESPONSE", each picture's number, [N].
        response: Which.
        seed: Of the bootstrap over pictures.
    """
    return {
        name.partition("|")[0]: mean(values, seed)
        for name, values in arrays.items()
        if name.endswith(f"|{response}")
    }


def _contrast(maps: np.ndarray) -> float:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    size = np.abs(flat).mean(axis=1)
    return float((flat.std(axis=1) / np.where(size > 0, size, 1.0)).mean())


def _sanity(study: Study, seed: int) -> dict[str, dict[str, Estimate]]:
    found: dict[str, dict[str, Estimate]] = {}
    for name, changes in study.stability.items():
        found[name] = {change: mean(values, seed) for change, values in changes.items()}
    for name, randomised in study.randomisation.items():
        numbers = found.setdefault(name, {})
        numbers["weights drawn anew"] = mean(randomised.similarity[-1], seed)
        numbers["another picture"] = mean(randomised.unrelated, seed)
    return found
