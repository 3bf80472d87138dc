"""What stable-baselines3 calls on a policy, written in terms of `attend`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rl_abn.attention import GlimpseSampler, MapOverride
from rl_abn.networks import forget
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.outputs import PolicyOutput, PolicyState
from rl_abn.rl.policies.settings import PolicySettings


class Sb3AttentionPolicy(ActorCriticPolicy):
    """SB3's actor-critic interface over `attend`; SB3's own layers for it are not built."""

    settings: PolicySettings

    @abstractmethod
    def attend(
        self,
        obs: Tensor,
        state: PolicyState = None,
        map_override: MapOverride | None = None,
        reset_mask: Tensor | None = None,
        glimpses: Tensor | GlimpseSampler | None = None,
    ) -> tuple[PolicyOutput, PolicyState]:
        """Computes the policy's output for observations; see `AttentionPolicy.attend`."""

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions [B], values [B, 1] and log-probabilities [B], as SB3 wants them.

        Raises:
            NotImplementedError: If the agent has memory, which SB3's own loop would lose.
        """
        if self.settings.has_memory:
            raise NotImplementedError("train an agent with memory by AttentionPPO or AttentionA2C")
        output, _ = self.attend(obs)
        actions = _choose(output.action_logits, deterministic)
        log_prob = distributions.log_prob(output.action_logits, actions)
        return actions, output.value.unsqueeze(-1), log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values [B, 1], log-probabilities [B] of the actions, and entropies [B]."""
        assert isinstance(obs, Tensor)
        output, _ = self.attend(obs)
        log_prob = distributions.log_prob(output.action_logits, actions.long().flatten())
        entropy = distributions.entropy(output.action_logits)
        return output.value.unsqueeze(-1), log_prob, entropy

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Returns actions and the agent's memory, as SB3's `predict` does.

        Args:
            observation: Of one game or of several.
            state: The memory after the step before, each [n, ...]; None at the start.
            episode_start: Whose memory is emptied first, bool [n].
            deterministic: Whether it takes its most probable action.
        """
        if not self.settings.has_memory:
            return super().predict(observation, state, episode_start, deterministic)
        self.set_training_mode(False)
        obs, several = self.obs_to_tensor(observation)
        before = None
        if state is not None:
            before = tuple(torch.as_tensor(part, device=self.device) for part in state)
            if episode_start is not None:
                before = forget(before, torch.as_tensor(episode_start, device=self.device))
        glimpses = None if deterministic else distributions.sample
        with torch.no_grad():
            output, after = self.attend(obs, before, glimpses=glimpses)  # type: ignore[arg-type]
        assert after is not None
        actions = _choose(output.action_logits, deterministic).cpu().numpy()
        return actions if several else actions[0], tuple(part.cpu().numpy() for part in after)

    def get_distribution(self, obs: PyTorchObs) -> Any:
        """Returns SB3's action distribution for observations."""
        assert isinstance(obs, Tensor)
        output, _ = self.attend(obs)
        return self.action_dist.proba_distribution(action_logits=output.action_logits)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Returns values [B, 1]."""
        assert isinstance(obs, Tensor)
        return self.attend(obs)[0].value.unsqueeze(-1)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        assert isinstance(observation, Tensor)
        return _choose(self.attend(observation)[0].action_logits, deterministic)


def _choose(action_logits: Tensor, deterministic: bool) -> Tensor:
    return action_logits.argmax(dim=-1) if deterministic else distributions.sample(action_logits)
