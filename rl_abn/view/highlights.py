"""Moments of a game that are worth seeing, found by what happened and what the agent computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from rl_abn.record import Episode
from rl_abn.view.curves import Curves, distance_of

MOST_OF_A_KIND = 6
MOST = 40


class Highlight(NamedTuple):
    """A moment.

    Attributes:
        step: When.
        kind: "highest_advantage", "lowest_advantage", "life_lost", "reward", "change_of_mind",
            "map_value_disagree" or "end".
        label: What it shows, in a few words.
    """

    step: int
    kind: str
    label: str


def highlights_of(curves: Curves) -> list[dict[str, Any]]:
    """Returns at most some 40 moments of an episode in the order of the game, for JSON.

    Raises:
        RlAbnError: If a chunk is damaged.
    """
    found = [*_events(curves.episode), *_computed(curves)]
    return [moment._asdict() for moment in sorted(found)[:MOST]]


def _events(episode: Episode) -> Iterable[Highlight]:
    rewards, n = episode.numbers("reward"), episode.n_steps
    for step in _peaks(np.abs(rewards), n, only=rewards != 0):
        yield Highlight(step, "reward", f"reward {rewards[step]:+g}")
    lives = episode.numbers("lives")
    # A life lost is seen at the step before the flag: that is when it happens.
    lost = np.flatnonzero(episode.numbers("lost_life"))
    for step in lost[:: -(-len(lost) // MOST_OF_A_KIND)] if len(lost) else ():
        left = int(lives[step])
        yield Highlight(max(int(step) - 1, 0), "life_lost", f"a life is lost, {left} left")
    ended, cut = bool(episode.numbers("terminated")[-1]), bool(episode.numbers("truncated")[-1])
    how = "the game is over" if ended else "the game is cut off" if cut else "the last step"
    yield Highlight(n - 1, "end", f"{how}, score {episode.numbers('score')[-1]:g}")


def _computed(curves: Curves) -> Iterable[Highlight]:
    episode = curves.episode
    arrays, n = episode.meta.arrays, episode.n_steps
    advantages = curves.advantages
    if advantages is not None:
        for step in _peaks(advantages, n, only=advantages > 0):
            yield Highlight(step, "highest_advantage", f"advantage {advantages[step]:+.2f}")
        for step in _peaks(-advantages, n, only=advantages < 0):
            yield Highlight(step, "lowest_advantage", f"advantage {advantages[step]:+.2f}")
    if "probabilities" in arrays and n > 1:
        policies = episode.numbers("probabilities")
        change = np.append(0.0, distance_of(policies[1:], policies[:-1]))
        for step in _peaks(change, n, only=change > 0):
            label = f"policy changes by {change[step]:.0%}"
            yield Highlight(step, "change_of_mind", label)
    if "value" in arrays and "maps" in arrays and episode.meta.map_names and n > 2:
        yield from _disagreements(curves)


def _disagreements(curves: Curves) -> Iterable[Highlight]:
    """Yields where the map moves and the value does not, or the value and not the map."""
    episode, (_, moved) = curves.episode, curves.of_maps
    values = np.abs(np.diff(episode.numbers("value").astype(np.float64), prepend=np.nan))
    values[0] = 0.0
    difference = _ranks(moved) - _ranks(values)
    difference[0] = 0.0
    for step in _peaks(np.abs(difference), episode.n_steps, only=np.abs(difference) > 0.5):
        what = (
            "the map moves, the value does not"
            if difference[step] > 0
            else "the value moves, the map does not"
        )
        yield Highlight(step, "map_value_disagree", what)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns the share of values below each, 0..1, so that what has other units is compared."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks: np.ndarray = (below / max(len(values) - 1, 1))[inverse]
    return ranks


def _peaks(values: np.ndarray, n_steps: int, only: np.ndarray) -> list[int]:
    """Returns the steps of the largest values that stand apart from each other.

    Args:
        values: [n_steps].
        n_steps: Of the game.
        only: Which steps come into question, bool [n_steps].
    """
    apart = max(4, n_steps // 50)
    candidates = np.flatnonzero(only)
    order = candidates[np.argsort(-values[candidates], kind="stable")]
    peaks: list[int] = []
    for step in order.tolist():
        if all(abs(step - peak) >= apart for peak in peaks):
            peaks.append(step)
            if len(peaks) == MOST_OF_A_KIND:
                break
    return peaks
