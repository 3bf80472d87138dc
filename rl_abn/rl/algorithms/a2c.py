"""A2C with an attention branch (Mnih et al. 2016; Fukui et al., CVPR 2019)."""

from __future__ import annotations

from stable_baselines3 import A2C
from torch import Tensor

from rl_abn.rl.algorithms.losses import (
    actor_critic_terms,
    distillation_loss,
    with_branch,
    with_glimpses,
)
from rl_abn.rl.algorithms.on_policy import AttentionOnPolicy, MeanMetrics
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies import distributions


class AttentionA2C(AttentionOnPolicy, A2C):
    """SB3's A2C that also trains the attention branch's own policy and value.

    Args:
        policy: `AttentionPolicy`.
        env: The games.
        kwargs: Those of `AttentionOnPolicy` and of SB3's `A2C`.
    """

    def train(self) -> None:
        """Updates the policy on the rollout: one gradient step over all of it."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        metrics = MeanMetrics()
        metrics.add(**self.accumulate(None))
        self.descend()
        self.log_update(metrics)

    def loss(self, samples: RolloutSamples) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes L = L_agent + branch_coef * L_branch on the rollout.

        Both branches are judged by the same advantages and returns.

        Returns:
            The loss, and its terms by the names they are logged under.
        """
        attention, _ = self.policy.attend(
            samples.observations,
            samples.state,
            reset_mask=samples.reset_mask,
            glimpses=samples.glimpses,
        )
        loss, terms = self._policy_gradient_loss(attention.action_logits, attention.value, samples)
        if attention.glimpse_logits is not None:
            log_prob = distributions.log_prob(attention.glimpse_logits, samples.glimpses)
            loss, terms = with_glimpses(
                loss,
                terms,
                -(self.glimpse_advantages(samples) * log_prob).mean(),
                attention.glimpse_logits,
                self.glimpse_coef,
                self.glimpse_ent_coef,
            )
        if self.branch_loss == "none":
            return loss, {"loss": loss, **terms}
        assert attention.branch_logits is not None
        assert attention.branch_value is not None
        if self.branch_loss == "distillation":
            branch_loss, branch_terms = distillation_loss(attention, self.vf_coef)
        else:
            branch_loss, branch_terms = self._policy_gradient_loss(
                attention.branch_logits, attention.branch_value, samples
            )
        return with_branch(loss, terms, branch_loss, branch_terms, self.branch_coef)

    def _policy_gradient_loss(
        self, action_logits: Tensor, value: Tensor, samples: RolloutSamples
    ) -> tuple[Tensor, dict[str, Tensor]]:
        log_prob, entropy, value_loss = actor_critic_terms(
            action_logits, value, samples.actions, samples.returns
        )
        policy_loss = -(samples.advantages * log_prob).mean()
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": -entropy,
        }
