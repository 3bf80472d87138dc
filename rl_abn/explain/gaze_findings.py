"""What maps have to do with people's gaze: numbers with intervals, their tables and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_abn.estimates import Estimate, clustered_mean
from rl_abn.explain.gaze import OWN_GAZE, PEOPLE, SCORES
from rl_abn.explain.report import Block, Chart, Table

BLOCK_FRAMES = 300
"""Frames of a stretch of play that is resampled as one: 5 seconds of a game at its own speed."""
ENOUGH_TRIALS = 8
"""Of so many trials the trials are resampled, of fewer the stretches."""
CENTRE, RANDOM, MOTION, ANOTHER = "centre", "random", "motion", "another moment"
BESIDE = ("nss", "shuffled_auc")
"""The scores of which differences are taken."""
_HEADINGS = {"nss": "NSS", "shuffled_auc": "shuffled AUC", "kl": "KL, nats", "cc": "CC"}


class GazeFindings(NamedTuple):
    """Scores of maps against gaze.

    Attributes:
        primary: Name of the studied map.
        groups: By map: "own", "rival", "control" or "people".
        scores: By map, then by score.
        differences: The studied map minus each other but people's, by map, then by score.
        moments: N.
        trials: Names of the trials.
        resampled: What the intervals are over, such as "13 stretches of 300 frames".
    """

    primary: str
    groups: dict[str, str]
    scores: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]
    moments: int
    trials: tuple[str, ...]
    resampled: str

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""

        def plain(numbers: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
            return {name: {s: e._asdict() for s, e in of.items()} for name, of in numbers.items()}

        return {
            "map": self.primary,
            "moments": self.moments,
            "trials": list(self.trials),
            "intervals_over": self.resampled,
            "groups": self.groups,
            "scores": plain(self.scores),
            "differences": plain(self.differences),
        }


def stretches_of(trials: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Returns which stretch of 300 frames of which trial each moment is of, int64 [N]."""
    return np.unique(np.stack([trials, frames // BLOCK_FRAMES]), axis=1, return_inverse=True)[1]


def gaze_findings(
    numbers: Mapping[tuple[str, str], np.ndarray],
    groups: Mapping[str, str],
    trials: np.ndarray,
    frames: np.ndarray,
    names: tuple[str, ...],
    seed: int = 0,
) -> GazeFindings:
    """Puts scores together.

    Args:
        numbers: As `score_maps` returns them.
        groups: By map, the studied one first.
        trials: Which trial each moment is of, [N].
        frames: Which frame, [N].
        names: Of the trials.
        seed: Of the bootstrap.
    """
    of_trials = len(np.unique(trials)) >= ENOUGH_TRIALS
    clusters = trials if of_trials else stretches_of(trials, frames)
    n = len(np.unique(clusters))
    of = "trials" if of_trials else f"stretches of {BLOCK_FRAMES} frames"
    primary = next(iter(groups))
    everything = {**groups, PEOPLE: "people", OWN_GAZE: "people"}
    return GazeFindings(
        primary,
        everything,
        {
            name: {
                s: clustered_mean(numbers[name, s], clusters, seed)
                for s in SCORES
                if (name, s) in numbers
            }
            for name in everything
        },
        {
            name: {
                s: clustered_mean(numbers[primary, s] - numbers[name, s], clusters, seed)
                for s in BESIDE
            }
            for name in groups
            if name != primary
        },
        len(trials),
        names,
        f"{n} {of}",
    )


def gaze_blocks(found: GazeFindings) -> list[Block]:
    """Returns the table and the charts."""
    rows: list[tuple[str, list[Estimate | float | str | None]]] = [
        (f"{_shown(name)} · {found.groups[name]}", [scores.get(s) for s in SCORES])
        for name, scores in found.scores.items()
    ]
    blocks: list[Block] = [
        Table(
            "Maps beside people's gaze",
            "NSS: the map at the gaze, in standard deviations from its mean; 0 is chance. Shuffled "
            "AUC: how probably the map is higher at this gaze than at one of another stretch of "
            "play; 0.5 is chance, also for a map of where people look on average. KL: from the "
            "map to the density of the gaze; less is better. CC: their correlation. "
            f"{found.moments} moments; intervals over {found.resampled}. 'This gaze in cells' is "
            "the most that a map of so few cells can reach.",
            ("map", *_HEADINGS.values()),
            rows,
            first_is_studied=True,
        )
    ]
    for score in BESIDE:
        blocks.append(
            Chart(
                f"{_HEADINGS[score]}: the studied map minus each other",
                "Right of 0 the studied map lies more on the gaze. Paired by moment.",
                [
                    (_shown(name), found.groups[name], of[score])
                    for name, of in found.differences.items()
                ],
                _HEADINGS[score],
            )
        )
    return blocks


def _shown(name: str) -> str:
    return name.replace("_", " ")
