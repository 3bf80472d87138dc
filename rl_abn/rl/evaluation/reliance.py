"""Map reliance: how much an agent's policy depends on where and when its maps are high.

On fixed positions the agent's maps are replaced, and its policy is compared with its own. `uniform`
takes place and time from a map together; `time_average` leaves what does not depend on the moment;
`swap` keeps every statistic and takes only that the map is of now; `shifted` moves it.
`observation` replaces what the agent sees by another moment's instead. A policy that hardly reacts
to what it sees cannot depend on its map either: it says how much there is to lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride, map_statistics
from rl_abn.attention.interventions import shifted, uniform
from rl_abn.estimates import Estimate, mean
from rl_abn.rl.evaluation.interventions import layout_of
from rl_abn.rl.evaluation.state_bank import StateBank
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyState

CHUNK = 32  # steps of each game in one pass
REPLACED_BY = ("uniform", "time_average", "swap", "shifted")
OBSERVATION = "observation"


class MapReliance(NamedTuple):
    """What replacing the maps does on a bank of N games, T steps each.

    Attributes:
        policy_kl: By what the maps were replaced with, and for another moment's observation:
            KL(own policy ‖ policy then) in nats, float64 [T, N].
        value_change: By the same: the value's absolute change, float64 [T, N].
        contrast: By the map's name: standard deviation over mean, across the places, mean over the
            bank. 0 is an even map.
        change: By the map's name: mean absolute change of the map from one step to the next, over
            its mean. 0 is a map that stands still.
    """

    policy_kl: dict[str, np.ndarray]
    value_change: dict[str, np.ndarray]
    contrast: dict[str, float]
    change: dict[str, float]

    def estimates(self, seed: int = 0) -> dict[str, Estimate]:
        """Returns the mean policy KL by name, with intervals over stretches of the games."""
        return {name: mean(block_means(values), seed) for name, values in self.policy_kl.items()}

    def numbers(self) -> dict[str, float]:
        """Returns everything as numbers by the names they are logged under."""
        logged = {f"reliance_{name}": float(kl.mean()) for name, kl in self.policy_kl.items()}
        for name, values in self.value_change.items():
            logged[f"reliance_{name}_value"] = float(values.mean())
        for name, value in self.contrast.items():
            logged[f"bank_{name}_map_contrast"] = value
        for name, value in self.change.items():
            logged[f"{name}_map_change"] = value
        return logged


@torch.no_grad()
def map_reliance(policy: AttentionPolicy, bank: StateBank, seed: int = 0) -> MapReliance:
    """Measures an agent's map reliance on a bank.

    The maps are replaced at every step, so the memory of agents that have one is what it would be
    had they always been others.

    Args:
        policy: The agent, with maps.
        bank: The positions.
        seed: Of the moments that maps are swapped with.

    Raises:
        ValueError: If the agent has no maps.
    """
    if not policy.map_names:
        raise ValueError("expected a policy with maps, got one without")
    # The trunk sees the same whatever the maps are.
    chunks = [
        (policy.extract(observations), emptied)
        for observations, emptied in bank.chunks(CHUNK, policy.device, policy.settings.forget_at)
    ]
    own = _Pass(policy, chunks, _own_maps)
    maps = torch.cat(own.maps)  # [T * N, m, rows, columns]
    n_games = bank.episode_starts.shape[1]
    average = maps.mean(dim=0, keepdim=True)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(maps)))
    swapped = maps[order]
    per_chunk = CHUNK * n_games
    replaced: Mapping[str, Callable[[int], MapOverride | None]] = {
        "uniform": lambda chunk: uniform,
        "time_average": lambda chunk: average.to(policy.device),
        "swap": lambda chunk: swapped[chunk * per_chunk : (chunk + 1) * per_chunk].to(
            policy.device
        ),
        "shifted": lambda chunk: partial(shifted, layout=layout_of(policy)),
    }
    others = {name: _Pass(policy, chunks, replaced[name]) for name in REPLACED_BY}
    others[OBSERVATION] = _Pass(policy, _of_other_moments(chunks, order), _own_maps)
    kl: dict[str, np.ndarray] = {}
    change: dict[str, np.ndarray] = {}
    for name, other in others.items():
        divergence = distributions.divergence(torch.cat(own.logits), torch.cat(other.logits))
        kl[name] = _by_game(divergence, n_games)
        change[name] = _by_game((torch.cat(other.values) - torch.cat(own.values)).abs(), n_games)
    steps = maps.view(-1, n_games, *maps.shape[1:])
    same_game = ~torch.as_tensor(bank.episode_starts[1:])
    moved = (steps[1:] - steps[:-1]).abs().mean(dim=(3, 4))[same_game]
    moved = moved.sum(dim=0) / max(len(moved), 1)
    level = maps.mean(dim=(0, 2, 3)).clamp_min(1e-12)
    contrast = map_statistics(maps).contrast.mean(dim=0)
    names = policy.map_names
    return MapReliance(
        kl,
        change,
        dict(zip(names, contrast.tolist(), strict=True)),
        dict(zip(names, (moved / level).tolist(), strict=True)),
    )


class _Pass:
    """One pass over a bank, with the maps replaced or not; tensors a chunk, on the CPU."""

    def __init__(
        self,
        policy: AttentionPolicy,
        chunks: Sequence[tuple[Tensor, Tensor]],
        override: Callable[[int], MapOverride | None],
    ) -> None:
        self.maps: list[Tensor] = []
        self.logits: list[Tensor] = []
        self.values: list[Tensor] = []
        state: PolicyState = None
        has_memory = policy.settings.has_memory
        for i, (features, emptied) in enumerate(chunks):
            output, state = policy.attend_features(
                features, state, override(i), emptied if has_memory else None
            )
            self.maps.append(output.map.float().cpu())
            self.logits.append(output.action_logits.cpu())
            self.values.append(output.value.double().cpu())


def _own_maps(chunk: int) -> None:
    """Replaces nothing."""


def _of_other_moments(
    chunks: Sequence[tuple[Tensor, Tensor]], order: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Returns the chunks with their features in another order, and memory emptied as before."""
    features = torch.cat([features for features, _ in chunks])[order.to(chunks[0][0].device)]
    parts = features.split([len(part) for part, _ in chunks])
    return [(part, emptied) for part, (_, emptied) in zip(parts, chunks, strict=True)]


def _by_game(values: Tensor, n_games: int) -> np.ndarray:
    by_game: np.ndarray = values.view(-1, n_games).numpy()
    return by_game


def block_means(values: np.ndarray) -> np.ndarray:
    """Returns means over stretches of a game, which depend on each other less than steps do."""
    n_steps = len(values) // CHUNK * CHUNK or len(values)
    blocks = values[:n_steps].reshape(-1, min(CHUNK, n_steps), values.shape[1]).mean(axis=1)
    flat: np.ndarray = blocks.ravel()
    return flat
