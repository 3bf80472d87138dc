"""A2C with an attention branch (Mnih et al. 2016; Fukui et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stable_baselines3 import A2C
from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl.algorithms.losses import LossTerms
from rl_abn.rl.algorithms.on_policy import AttentionOnPolicy, MeanMetrics
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies import distributions


@dataclass(frozen=True)
class A2CObjective:
    """A2C's loss on one rollout.

    Attributes:
        samples: The rollout.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        is_off_policy: Whether another policy chose the actions.
    """

    samples: RolloutSamples
    ent_coef: float | Tensor
    vf_coef: float
    is_off_policy: bool = False

    def off_policy(self) -> A2CObjective:
        """Returns the loss for actions that another policy chose.

        Advantages are weighted by the probability ratio, at most 1 (V-trace's ρ; Espeholt et al.,
        ICML 2018, section 4.1).
        """
        return replace(self, is_off_policy=True)

    def policy_loss(self, log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
        """Computes the policy-gradient loss; the old log-probabilities matter off policy only."""
        if self.is_off_policy:
            ratio = (log_prob.detach() - old_log_prob).exp()
            advantages = advantages * ratio.clamp(max=1.0)
        return -(advantages * log_prob).mean()

    def actor_critic(self, logits: Tensor, value: Tensor, old_log_prob: Tensor) -> LossTerms:
        """Computes L_policy + vf_coef * L_value - ent_coef * H (Mnih et al. 2016, section 4)."""
        samples = self.samples
        log_prob = distributions.log_prob(logits, samples.actions)
        entropy = distributions.entropy(logits).mean()
        value_loss = F.mse_loss(value, samples.returns)
        policy_loss = self.policy_loss(log_prob, old_log_prob, samples.advantages)
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": -entropy,
        }


class AttentionA2C(AttentionOnPolicy, A2C):
    """SB3's A2C that also trains the attention branch's own policy and value.

    Args:
        policy: `AttentionPolicy`.
        env: The games.
        kwargs: Those of `AttentionOnPolicy` and of SB3's `A2C`.
    """

    def train(self) -> None:
        """Updates the policy on the rollout: one gradient step over all of it."""
        self.begin_update()
        metrics = MeanMetrics()
        metrics.add(**self.accumulate_gradients(None))
        metrics.add(**self.step_optimizer())
        self.log_update(metrics)

    def objective(self, samples: RolloutSamples, *settings: Tensor) -> A2CObjective:
        """Returns the loss on a rollout; there are no settings."""
        samples, ent_coef = self.weighed(samples)
        return A2CObjective(samples, ent_coef, self.vf_coef)
