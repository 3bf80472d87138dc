"""What an auxiliary loss is given, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor

from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer, RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.distributed import Ranks

LossTerms = tuple[Tensor, dict[str, Tensor]]
"""A loss, [], and its terms by the names they are logged under, each []."""


class Objective(Protocol):
    """An algorithm's own loss on one minibatch, for any policy and value."""

    @property
    def vf_coef(self) -> float:
        """Weight of the value loss."""

    def policy_loss(self, log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
        """Computes the policy-gradient loss, [].

        Args:
            log_prob: Log-probabilities now of what was chosen, [B].
            old_log_prob: The same when it was chosen, [B].
            advantages: [B].
        """

    def actor_critic(self, logits: Tensor, value: Tensor, old_log_prob: Tensor) -> LossTerms:
        """Computes the whole loss of a policy and a value: policy gradient, value, entropy.

        Args:
            logits: Of the actions, [B, A].
            value: [B].
            old_log_prob: Log-probabilities of the actions when they were chosen, [B].
        """


class AuxiliaryLoss(ABC):
    """Something learned beside the algorithm's own loss; a frozen record of its settings."""

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if a policy has not what this loss is about."""
        del policy

    @abstractmethod
    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the loss, weighted, on one minibatch.

        Args:
            policy: The agent.
            output: What it computed for the minibatch.
            samples: The minibatch.
            objective: The algorithm's own loss on it.
        """

    def end_rollout(
        self, policy: AttentionPolicy, buffer: AttentionRolloutBuffer, ranks: Ranks
    ) -> None:
        """Takes notice of a full rollout before the updates."""
        del policy, buffer, ranks
