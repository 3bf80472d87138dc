"""PPO with an attention branch (Schulman et al. 2017; Fukui et al., CVPR 2019)."""

from __future__ import annotations

from itertools import chain

import torch
from stable_baselines3 import PPO
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


class AttentionPPO(AttentionOnPolicy, PPO):
    """SB3's PPO that also trains the attention branch's own policy and value.

    Args:
        policy: `AttentionPolicy`.
        env: The games.
        kwargs: Those of `AttentionOnPolicy` and of SB3's `PPO`.

    Example:
        >>> from rl_abn.recipes import load_env
        >>> from rl_abn.rl import AleVecEnv, AttentionPolicy, AttentionPPO
        >>> recipe = load_env("pong")
        >>> env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
        >>> model = AttentionPPO(AttentionPolicy, env, n_steps=8, batch_size=16, clip_reward=True)
        >>> model.learn(16).num_timesteps
        16
    """

    def train(self) -> None:
        """Updates the policy on the rollout: `n_epochs` passes in minibatches."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range: float = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clip = torch.tensor(clip_range, device=self.device)
        metrics = MeanMetrics()
        epochs = (self.rollout_buffer.shuffled(self.batch_size) for _ in range(self.n_epochs))
        for indices in chain.from_iterable(epochs):
            terms = self.accumulate(indices, clip)
            metrics.add(**terms)
            if self.target_kl is not None:
                approx_kl = self.ranks.mean_(terms["approx_kl"].clone())
                if approx_kl > 1.5 * self.target_kl:
                    break
            self.descend()
        self.log_update(metrics)
        self.logger.record("train/clip_range", clip_range)

    def loss(self, samples: RolloutSamples, clip_range: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes L = L_agent + branch_coef * L_branch on one minibatch.

        Both branches are judged by the same advantages and returns; each has a ratio of its own,
        to its own old log-probabilities, which is 1 on the first minibatch of an update. So have
        the places that hard attention drew: at ratio 1 their loss's gradient is REINFORCE's.

        Returns:
            The loss, and its terms by the names they are logged under.
        """
        attention, _ = self.policy.attend(
            samples.observations,
            samples.state,
            reset_mask=samples.reset_mask,
            glimpses=samples.glimpses,
        )
        loss, terms = self._clipped_loss(
            attention.action_logits,
            attention.value,
            samples,
            samples.old_log_prob,
            clip_range,
        )
        if attention.glimpse_logits is not None:
            log_prob = distributions.log_prob(attention.glimpse_logits, samples.glimpses)
            ratio = (log_prob - samples.old_glimpse_log_prob).exp()
            glimpse_loss = _surrogate(ratio, self.glimpse_advantages(samples), clip_range)
            loss, terms = with_glimpses(
                loss,
                terms,
                glimpse_loss,
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
            branch_loss, branch_terms = self._clipped_loss(
                attention.branch_logits,
                attention.branch_value,
                samples,
                samples.old_branch_log_prob,
                clip_range,
            )
        return with_branch(loss, terms, branch_loss, branch_terms, self.branch_coef)

    def _clipped_loss(
        self,
        action_logits: Tensor,
        value: Tensor,
        samples: RolloutSamples,
        old_log_prob: Tensor,
        clip_range: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        log_prob, entropy, value_loss = actor_critic_terms(
            action_logits, value, samples.actions, samples.returns
        )
        log_ratio = log_prob - old_log_prob
        ratio = log_ratio.exp()
        policy_loss = _surrogate(ratio, samples.advantages, clip_range)
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        with torch.no_grad():
            # The low-variance estimator of KL(old ‖ new): http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
        return loss, {
            "policy_gradient_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": -entropy,
            "approx_kl": approx_kl,
            "clip_fraction": clip_fraction,
        }


def _surrogate(ratio: Tensor, advantages: Tensor, clip_range: Tensor) -> Tensor:
    """The clipped objective, negated, of probability ratios [B] (Schulman et al. 2017, eq. 7)."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.min(advantages * ratio, advantages * clipped).mean()
