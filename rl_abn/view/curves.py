"""Curves over a recorded game: one number a step and curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rl_abn.record import Episode
from rl_abn.rl.algorithms.advantages import gae

DIGITS = 5
_LEAST = 1e-12


def curves_of(episode: Episode) -> dict[str, Any]:
    """Returns the curves of an episode by name, each a list of its n_steps numbers.

    Curves that the agent has not, such as those of maps, are left out. `map_contrast` has one curve
    a map: standard deviation over mean across the places. `map_change` is the mean absolute change
    of the maps since the step before, over their mean. `disagreement` is the total variation
    between the acting and the attention branch's policy, 0..1.

    Raises:
        RlAbnError: If a chunk is damaged.
    """
    arrays = episode.meta.arrays
    found = {name: episode.numbers(name) for name in ("reward", "score", "lives")}
    for name in ("value", "branch_value"):
        if name in arrays:
            found[name] = episode.numbers(name)
    if "value" in arrays:
        found["advantage"] = advantages_of(episode)
    if "probabilities" in arrays:
        found["entropy"] = entropy_of(episode.numbers("probabilities"))
        if "branch_probabilities" in arrays:
            found["disagreement"] = distance_of(
                episode.numbers("probabilities"), episode.numbers("branch_probabilities")
            )
    shown: dict[str, Any] = {name: rounded(values) for name, values in found.items()}
    if episode.meta.map_names and "maps" in arrays:
        contrast, change = map_curves(episode)
        shown["map_contrast"] = {
            name: rounded(contrast[:, i]) for i, name in enumerate(episode.meta.map_names)
        }
        shown["map_change"] = rounded(change)
    return shown


def advantages_of(episode: Episode) -> np.ndarray:
    """Returns the advantages of the actions taken, [n_steps].

    By the discount, lambda and form of the reward that the agent learned with, and ended by a lost
    life where that ended its games; rewards that it divided by the spread of its returns are taken
    as they are.
    """
    learned = _table(episode.meta.source, "recipe", "agent", "algorithm")
    protocol = _table(episode.meta.source, "game", "protocol")
    rewards = episode.numbers("reward")
    if learned.get("clip_reward", "sign") in ("sign", True):
        rewards = np.sign(rewards)
    values = episode.numbers("value").astype(np.float64)
    ended = episode.numbers("terminated")
    if protocol.get("life_loss_terminal") is True:
        ended = ended | np.append(episode.numbers("lost_life")[1:], False)
    # A game that goes on after the last step is worth what it was worth before it.
    after = np.append(values, 0.0 if ended[-1] else values[-1])
    advantages: np.ndarray = gae(
        rewards=torch.from_numpy(rewards)[:, None],
        values=torch.from_numpy(after)[:, None],
        dones=torch.from_numpy(ended.astype(np.float64))[:, None],
        gamma=_share(learned.get("gamma"), 0.99),
        gae_lambda=_share(learned.get("gae_lambda"), 0.95),
    )[:, 0].numpy()
    return advantages


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
