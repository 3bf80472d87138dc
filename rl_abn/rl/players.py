"""Who plays: a trained agent, or chance."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from gymnasium import spaces

from rl_abn.rl import categorical
from rl_abn.rl.policy import AttentionPolicy, PolicyAttention, PolicyState


class Player(Protocol):
    """Plays N games at once.

    Attributes:
        name: What to call it.
        map_names: Names of the maps it shows; none for one without attention.
        observation_space: What it can look at; None is anything.
    """

    name: str
    map_names: tuple[str, ...]
    observation_space: spaces.Space | None

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, PolicyAttention | None]:
        """Returns actions, int64 [N], for observations [N, C, H, W], and what it thought."""


class AgentPlayer:
    """An agent.

    Args:
        name: What to call it.
        policy: Its policy, in evaluation mode.
        greedy: Whether it takes its likeliest action instead of drawing one.
        seed: Of the draws.
    """

    def __init__(self, name: str, policy: AttentionPolicy, *, greedy: bool, seed: int) -> None:
        self.name = name
        self.map_names = policy.map_names
        self.observation_space: spaces.Space | None = policy.observation_space
        self.policy = policy
        self.greedy = greedy
        self._generator = torch.Generator(policy.device).manual_seed(seed)
        self._state: PolicyState = None

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, PolicyAttention | None]:
        """Acts on observations, [N, C, H, W]."""
        with self.policy.compute.acting(self.policy.device, len(observations)):
            attention, self._state = self.policy.attend(
                torch.as_tensor(observations, device=self.policy.device), self._state
            )
            logits = attention.action_logits
            actions = (
                logits.argmax(dim=-1)
                if self.greedy
                else categorical.sample(logits, self._generator)
            )
        return actions.cpu().numpy(), attention


class RandomPlayer:
    """Draws every action with equal chance.

    Args:
        n_actions: A, how many actions there are.
        seed: Of the draws.
    """

    name = "random"
    map_names: tuple[str, ...] = ()
    observation_space: spaces.Space | None = None

    def __init__(self, n_actions: int, *, seed: int) -> None:
        self.n_actions = n_actions
        self._rng = np.random.default_rng(seed)

    def act(self, observations: np.ndarray) -> tuple[np.ndarray, PolicyAttention | None]:
        """Ignores the observations."""
        return self._rng.integers(self.n_actions, size=len(observations)), None
