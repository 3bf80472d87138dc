"""PPO with an attention branch (Schulman et al. 2017; Fukui et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from stable_baselines3 import PPO
from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl.algorithms.losses import LossTerms
from rl_abn.rl.algorithms.on_policy import AttentionOnPolicy, MeanMetrics
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy


@dataclass(frozen=True)
class PPOObjective:
    """PPO's loss on one minibatch.

    Attributes:
        samples: The minibatch.
        clip_range: How far the probability ratio may move from 1, [].
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
    """

    samples: RolloutSamples
    clip_range: Tensor
    ent_coef: float | Tensor
    vf_coef: float

    def off_policy(self) -> PPOObjective:
        """Returns itself: the ratio corrects for another policy as it does for an older one."""
        return self

    def policy_loss(self, log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
        """Computes the clipped surrogate, negated (Schulman et al. 2017, eq. 7)."""
        ratio = (log_prob - old_log_prob).exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        return -torch.min(advantages * ratio, advantages * clipped).mean()

    def actor_critic(self, logits: Tensor, value: Tensor, old_log_prob: Tensor) -> LossTerms:
        """Computes L_clip + vf_coef * L_value - ent_coef * H (eq. 9); the ratio starts at 1."""
        samples = self.samples
        log_prob = distributions.log_prob(logits, samples.actions)
        entropy = distributions.entropy(logits).mean()
        value_loss = F.mse_loss(value, samples.returns)
        policy_loss = self.policy_loss(log_prob, old_log_prob, samples.advantages)
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        with torch.no_grad():
            log_ratio = log_prob - old_log_prob
            ratio = log_ratio.exp()
            # The low-variance estimator of KL(old ‖ new): http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > self.clip_range).float().mean()
        return loss, {
            "policy_gradient_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": -entropy,
            "approx_kl": approx_kl,
            "clip_fraction": clip_fraction,
        }


class AttentionPPO(AttentionOnPolicy, PPO):
    """SB3's PPO that also trains the attention branch's own policy and value.

    Args:
        policy: `AttentionPolicy`.
        env: The games.
        kwargs: Those of `AttentionOnPolicy` and of SB3's `PPO`, but for `clip_range_vf`: values
            are not clipped.

    Raises:
        ValueError: If `clip_range_vf` is given, or `batch_size` is no multiple of
            `sequence_length`.

    Example:
        >>> from rl_abn.recipes import load_env
        >>> from rl_abn.rl import AleVecEnv, AttentionPolicy, AttentionPPO
        >>> recipe = load_env("pong")
        >>> env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
        >>> model = AttentionPPO(AttentionPolicy, env, n_steps=8, batch_size=16, clip_reward="sign")
        >>> model.learn(16).num_timesteps
        16
    """

    def __init__(self, policy: str | type[AttentionPolicy], env: Any, **kwargs: Any) -> None:
        if kwargs.get("clip_range_vf") is not None:
            raise ValueError(
                "expected clip_range_vf=None, as AttentionPPO does not clip values, "
                f"got {kwargs['clip_range_vf']}"
            )
        super().__init__(policy, env, **kwargs)
        length = self.sequence_length or 1  # None while a zip is loaded
        if self.batch_size % length:
            near = max(round(self.batch_size / length), 1) * length
            raise ValueError(
                f"expected a batch_size that is a multiple of sequence_length = {length} (n_steps, "
                f"by default, for an agent with memory), got {self.batch_size}; the nearest is "
                f"{near}"
            )

    def train(self) -> None:
        """Updates the policy on the rollout: `n_epochs` passes in minibatches."""
        self.begin_update()
        (clip,) = self.objective_settings()
        metrics = MeanMetrics()
        epochs = (self.rollout_buffer.shuffled(self.batch_size) for _ in range(self.n_epochs))
        for indices in chain.from_iterable(epochs):
            terms = self.accumulate_gradients(indices, clip)
            metrics.add(**terms)
            if self.target_kl is not None:
                approx_kl = self.ranks.mean_(terms["approx_kl"].clone())
                if approx_kl > 1.5 * self.target_kl:
                    break
            metrics.add(**self.step_optimizer())
        self.log_update(metrics)
        self.logger.record("train/clip_range", float(clip))

    def objective_settings(self) -> tuple[Tensor]:
        """Returns the clip range of now."""
        clip_range: float = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        return (torch.tensor(clip_range, device=self.device),)

    def objective(self, samples: RolloutSamples, *settings: Tensor) -> PPOObjective:
        """Returns the loss on a minibatch; the one setting is the clip range."""
        samples, ent_coef = self.weighed(samples)
        return PPOObjective(samples, settings[0], ent_coef, self.vf_coef)
