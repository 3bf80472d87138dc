"""Who plays: a trained agent, or chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rl_abn.attention import GlimpseSampler, MapOverride
from rl_abn.attention.interventions import Rule
from rl_abn.errors import RlAbnError
from rl_abn.networks import forget
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput, PolicyState


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

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Chooses actions.

        Args:
            observations: [N, C, H, W].
            episode_start: Where the observation is the first of a game, bool [N]; the player's
                memory is emptied there.
            lost_life: Where a life was lost just before it and the game goes on, bool [N]; None is
                nowhere.

        Returns:
            Actions, int64 [N], and the policy output, None for a player without one.
        """


class AgentPlayer:
    """An agent.

    Args:
        name: What to call it.
        policy: Its policy, in evaluation mode.
        greedy: Whether it takes its likeliest action instead of drawing one.
        seed: Of the draws.
        intervention: Changes the maps it acts on; None leaves it intact.

    Attributes:
        weights: Its weights as `Compute.acting` takes them.
        state: Its memory after the last step; None without one, or before the first.
    """

    def __init__(
        self,
        name: str,
        policy: AttentionPolicy,
        *,
        greedy: bool,
        seed: int,
        intervention: Rule | None = None,
    ) -> None:
        self.name = name
        self.map_names = policy.map_names
        self.observation_space: spaces.Space | None = policy.observation_space
        self.policy = policy
        self.greedy = greedy
        self.intervention = intervention
        self.weights = policy.compute.packed(policy, policy.device)
        self._generator = torch.Generator(policy.device).manual_seed(seed)
        self.state: PolicyState = None

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
        glimpse: Tensor | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Acts on observations, [N, C, H, W], after forgetting what is over.

        Args:
            observations: As in `Player.act`.
            episode_start: As in `Player.act`.
            lost_life: As in `Player.act`.
            glimpse: Where hard attention looks, int64 [N], in place of what it draws; None lets it.
        """
        attention = self.attend(observations, episode_start, lost_life, glimpse)
        logits = attention.action_logits
        actions = logits.argmax(dim=-1) if self.greedy else self._draw(logits)
        return actions.cpu().numpy(), attention

    def attend(
        self,
        observations: np.ndarray | Tensor,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
        glimpse: Tensor | None = None,
    ) -> PolicyOutput:
        """Computes what `act` chooses by, and takes it into the memory; arguments as there."""
        device = self.policy.device
        self.state = self.remembered(episode_start, lost_life)
        override: MapOverride | None = None
        if (rule := self.intervention) is not None:
            starts = torch.as_tensor(episode_start, device=device)
            override = lambda maps: rule(maps, starts)  # noqa: E731
        with self.policy.compute.acting(device, len(observations), self.weights):
            attention, self.state = self.policy.attend(
                torch.as_tensor(observations, device=device),
                self.state,
                override,
                glimpses=self._looking(glimpse),
            )
        return attention

    def remembered(
        self, episode_start: np.ndarray, lost_life: np.ndarray | None = None
    ) -> PolicyState:
        """Returns the memory with which it sees the next observations; its own stays as it is.

        Args:
            episode_start: As in `act`.
            lost_life: As in `act`.
        """
        if self.state is None:
            return None
        forgets = episode_start
        if lost_life is not None and self.policy.settings.forget_at == "life":
            forgets = episode_start | lost_life
        return forget(self.state, torch.as_tensor(forgets, device=self.policy.device))

    def memory_before(
        self, episode_start: np.ndarray, lost_life: np.ndarray | None = None
    ) -> tuple[Tensor, ...]:
        """Returns the memory of all N games that a step would start with, [N, ...] each.

        Args:
            episode_start: As in `act`.
            lost_life: As in `act`.
        """
        before = self.remembered(episode_start, lost_life)
        return (self.policy.initial_state(len(episode_start)) or ()) if before is None else before

    def memory(self, game: int) -> dict[str, np.ndarray]:
        """Returns the memory of one of the games, by name; nothing without one."""
        parts = [] if self.state is None else self.state
        return {f"memory_{i}": part[game].cpu().numpy() for i, part in enumerate(parts)}

    def generator_state(self) -> dict[str, np.ndarray]:
        """Returns the state of the draws, of all games together, by name."""
        return {"generator": self._generator.get_state().numpy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on with one game from its memory, and from the state of the draws where it is kept.

        Args:
            state: What `memory` and `generator_state` returned; other entries are ignored.

        Raises:
            RlAbnError: If it is no such state of this agent.
        """
        expected = self.policy.initial_state(1) or ()
        parts = [state[name] for i in range(len(expected)) if (name := f"memory_{i}") in state]
        shapes, known = [part.shape for part in parts], [tuple(p.shape[1:]) for p in expected]
        if parts and shapes != known:
            raise RlAbnError(f"expected a memory of {known} in a state, got {shapes}")
        self.state = (
            tuple(
                torch.as_tensor(part[None]).to(like)
                for part, like in zip(parts, expected, strict=True)
            )
            if parts
            else None
        )
        if "generator" in state:
            try:
                self._generator.set_state(torch.as_tensor(state["generator"]))
            except (RuntimeError, TypeError) as error:
                raise RlAbnError(f"expected a generator in a state, got {error}") from None

    def _looking(self, glimpse: Tensor | None) -> GlimpseSampler | Tensor | None:
        """Returns how hard attention chooses where to look; None takes the most probable place."""
        if self.greedy:
            return glimpse
        if glimpse is None:
            return self._draw
        given = glimpse

        def look(log_probs: Tensor) -> Tensor:
            self._draw(log_probs)  # all later draws are those of the agent that draws its own
            return given

        return look

    def _draw(self, logits: Tensor) -> Tensor:
        return distributions.sample(logits, self._generator)


class WrappedPlayer:
    """A player that plays as another does; a subclass changes what it is shown, or listens.

    Args:
        player: Who plays.
        name: What to call it; None is the other's name.
    """

    def __init__(self, player: Player, name: str | None = None) -> None:
        self.player = player
        self.name = name or player.name
        self.map_names = player.map_names
        self.observation_space = player.observation_space
        self.greedy = getattr(player, "greedy", False)

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Acts on observations, [N, C, H, W]."""
        return self.player.act(observations, episode_start, lost_life)


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

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Ignores the observations."""
        return self._rng.integers(self.n_actions, size=len(observations)), None
