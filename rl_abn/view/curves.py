"""Curves over a recorded game: one number a step and curve."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from rl_abn.record import Episode
from rl_abn.rl.algorithms.reward_scale import LARGEST

DIGITS = 5
_READ = (
    *("reward", "score", "lives", "lost_life", "terminated", "truncated"),
    *("value", "branch_value", "probabilities", "branch_probabilities"),
)
_LEAST = 1e-12


class Curves:
    """The curves of an episode, computed once where they are asked for.

    Args:
        episode: The episode.
    """

    def __init__(self, episode: Episode) -> None:
        self.episode = episode

    @cached_property
    def advantages(self) -> np.ndarray | None:
        """Advantages of the actions taken, [n_steps]; None where they cannot be told."""
        return advantages_of(self.episode)

    @cached_property
    def of_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Contrast of each map [n_steps, m], and how much the maps change [n_steps]."""
        return map_curves(self.episode)

    def shown(self) -> dict[str, Any]:
        """Returns all curves by name, each a list of n_steps numbers, for JSON.

        Curves that the agent has not, such as those of maps, are left out. `map_contrast` has one
        curve a map: standard deviation over mean across the places. `map_change` is the mean
        absolute change of the maps since the step before, over their mean. `disagreement` is the
        total variation between the acting and the attention branch's policy, 0..1.

        Raises:
            RlAbnError: If a chunk is damaged.
        """
        episode, arrays = self.episode, self.episode.meta.arrays
        episode.read_numbers(name for name in _READ if name in arrays)
        found = {name: episode.numbers(name) for name in ("reward", "score", "lives")}
        for name in ("value", "branch_value"):
            if name in arrays:
                found[name] = episode.numbers(name)
        if self.advantages is not None:
            found["advantage"] = self.advantages
        if "probabilities" in arrays:
            policies = episode.numbers("probabilities")
            found["entropy"] = entropy_of(policies)
            if "branch_probabilities" in arrays:
                branch = episode.numbers("branch_probabilities")
                found["disagreement"] = distance_of(policies, branch)
        shown: dict[str, Any] = {name: rounded(values) for name, values in found.items()}
        if episode.meta.map_names and "maps" in arrays:
            contrast, change = self.of_maps
            shown["map_contrast"] = {
                name: rounded(contrast[:, i]) for i, name in enumerate(episode.meta.map_names)
            }
            shown["map_change"] = rounded(change)
        return shown


def advantages_of(episode: Episode) -> np.ndarray | None:
    """Returns the advantages of the actions taken, [n_steps] (Schulman et al. 2016, eq. 16).

    By the discount, lambda and form of the reward that the agent learned with, and ended by a lost
    life where that ended its games. None where it cannot be told what its values are in units of.
    """
    learned = _table(episode.meta.source, "recipe", "agent", "algorithm")
    protocol = _table(episode.meta.source, "game", "protocol")
    rewards = _learned_rewards(episode, learned.get("clip_reward", "sign"))
    if rewards is None or "value" not in episode.meta.arrays:
        return None
    values = episode.numbers("value").astype(np.float64)
    ended = episode.numbers("terminated")
    if protocol.get("life_loss_terminal") is True:
        ended = ended | np.append(episode.numbers("lost_life")[1:], False)
    gamma = _share(learned.get("gamma"), 0.99)
    decay = gamma * _share(learned.get("gae_lambda"), 0.95)
    # A game that goes on after the last step is worth what it was worth before it.
    after = np.where(ended, 0.0, np.append(values[1:], values[-1]))
    errors = (rewards + gamma * after - values).tolist()
    goes_on = (~ended).tolist()
    advantages, running = [0.0] * len(errors), 0.0
    # Plain floats: one game is too little for tensors, which take 40 times as long.
    for t in reversed(range(len(errors))):
        running = errors[t] + decay * goes_on[t] * running
        advantages[t] = running
    return np.array(advantages)


def _learned_rewards(episode: Episode, form: Any) -> np.ndarray | None:
    """Returns rewards in the units of the agent's values, [n_steps]; None where they are not known.

    Args:
        episode: The episode.
        form: What its agent learned from, a `RewardForm` or whether it was the sign.
    """
    rewards = episode.numbers("reward").astype(np.float64)
    if form in ("sign", True):
        return np.sign(rewards)
    if form != "return_std":
        return rewards
    # Older recordings do not have it.
    spread = _table(episode.meta.source, "agent").get("return_std")
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not spread > 0:
        return None
    return np.clip(rewards / spread, -LARGEST, LARGEST)


def entropy_of(probabilities: np.ndarray) -> np.ndarray:
    """Returns the entropy of policies [n, A] in nats, [n]."""
    p = np.clip(probabilities.astype(np.float64), _LEAST, 1.0)
    entropy: np.ndarray = -(p * np.log(p)).sum(axis=1)
    return entropy


def distance_of(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the total variation between policies [n, A], 0..1, [n]."""
    distance: np.ndarray = 0.5 * np.abs(some - others).sum(axis=1)
    return distance


def map_curves(episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Returns the contrast of each map [n_steps, m] and how much the maps change [n_steps]."""
    contrast, change = [], []
    before: np.ndarray | None = None
    for chunk in range(episode.n_chunks):
        maps = episode.array("maps", chunk).astype(np.float32)
        level = np.maximum(maps.mean(axis=(2, 3)), _LEAST)
        contrast.append(maps.std(axis=(2, 3)) / level)
        steps = np.concatenate([maps[:1] if before is None else before, maps])
        moved = np.abs(np.diff(steps, axis=0)).mean(axis=(1, 2, 3))
        change.append(moved / np.maximum(maps.mean(axis=(1, 2, 3)), _LEAST))
        before = maps[-1:]
    return np.concatenate(contrast), np.concatenate(change)


def rounded(values: np.ndarray) -> list[float]:
    """Returns numbers with five significant digits, as JSON needs no more."""
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def _table(source: Any, *names: str) -> dict[str, Any]:
    """Returns a table within tables; an empty one where there is none."""
    for name in names:
        source = source.get(name) if isinstance(source, Mapping) else None
    return dict(source) if isinstance(source, Mapping) else {}


def _share(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else otherwise
