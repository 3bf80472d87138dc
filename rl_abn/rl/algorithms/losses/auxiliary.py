"""What an auxiliary loss is given, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol

import torch
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

    def off_policy(self) -> Objective:
        """Returns the same, corrected for actions that another policy chose."""

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
            old_log_prob: Log-probabilities of the actions when they were chosen, [B], by the
                policy that chose them.
        """


class ScheduledWeight:
    """A loss's weight that changes over the training.

    Args:
        schedule: From the progress remaining, 1 at the start and 0 at the end, to the weight.

    Attributes:
        value: The weight now, [], changed in place: recorded CUDA graphs see it change.
    """

    def __init__(self, schedule: Callable[[float], float]) -> None:
        self.schedule = schedule
        self.value = torch.tensor(schedule(1.0))

    def update(self, progress_remaining: float, device: torch.device) -> None:
        """Sets the weight to that of now, on a device."""
        if self.value.device != device:
            self.value = self.value.to(device)
        self.value.fill_(self.schedule(progress_remaining))

    def __mul__(self, loss: Tensor) -> Tensor:
        """Returns a loss times the weight."""
        return self.value * loss


Weight = float | ScheduledWeight


def weight_now(weight: Weight) -> float | Tensor:
    """Returns what a weight is now; of a scheduled one the tensor, []."""
    return weight.value if isinstance(weight, ScheduledWeight) else weight


def update_weights(
    weights: Iterable[object], progress_remaining: float, device: torch.device
) -> None:
    """Sets those that are scheduled to what they are now, on a device."""
    for weight in weights:
        if isinstance(weight, ScheduledWeight):
            weight.update(progress_remaining, device)


def check_answers(policy: AttentionPolicy, what_for: str) -> None:
    """Raises ValueError if a policy's branch gives no answer, which something needs."""
    if not policy.settings.answers:
        raise ValueError(
            f"expected a policy whose attention branch answers for {what_for}, "
            f"got mechanism '{policy.settings.mechanism}' without an answer"
        )


class AuxiliaryLoss(ABC):
    """Something learned beside the algorithm's own loss; a frozen record of its settings.

    Attributes:
        needs_teacher: Whether it is about what a teacher said when the rollout was played.
        spans_minibatch: Whether it asks for means over the whole minibatch (`samples.share.mean`).
    """

    needs_teacher: ClassVar[bool] = False
    spans_minibatch: ClassVar[bool] = False

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if a policy has not what this loss is about."""
        del policy

    def begin_update(self, progress_remaining: float, device: torch.device) -> None:
        """Takes notice of how far the training is, 1 at the start to 0, before an update."""
        update_weights(vars(self).values(), progress_remaining, device)

    @abstractmethod
    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the loss, weighted, on one minibatch or a share of it.

        Args:
            policy: The agent.
            output: What it computed for the minibatch.
            samples: The minibatch; `samples.share` is for what no mean over steps can say.
            objective: The algorithm's own loss on it.
        """

    def end_rollout(
        self, policy: AttentionPolicy, buffer: AttentionRolloutBuffer, ranks: Ranks
    ) -> None:
        """Takes notice of a full rollout before the updates."""
        del policy, buffer, ranks
