"""What teaches hard attention where to look (Xu et al., ICML 2015, eq. 12)."""

from __future__ import annotations

from dataclasses import dataclass

from rl_abn.rl.algorithms.losses.auxiliary import AuxiliaryLoss, LossTerms, Objective
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer, RolloutSamples
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.distributed import Ranks

BASELINE_RATE = 0.1
"""How fast the baseline follows the returns (Xu et al., ICML 2015, section 4.1)."""


@dataclass(frozen=True)
class GlimpseLoss(AuxiliaryLoss):
    """REINFORCE on the sampled locations: coef * L_glimpse - ent_coef * H[location].

    The advantage of a location is the return less a moving mean of returns. The critic cannot be
    the baseline: it has seen what the location showed, and expects more after a better one.
    In PPO the locations have a probability ratio that is clipped as the actions' is; at ratio 1
    the gradient is REINFORCE's.

    Attributes:
        coef: Weight of the loss.
        ent_coef: Weight of the entropy of the locations' distribution.
    """

    coef: float = 1.0
    ent_coef: float = 0.01

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy samples no locations."""
        if not policy.settings.abilities.samples:
            raise ValueError(
                "expected a policy that samples where it looks for GlimpseLoss, "
                f"got mechanism '{policy.settings.mechanism}'"
            )

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the loss of a minibatch's locations."""
        old = samples.old
        assert output.glimpse_logits is not None
        assert old.glimpse is not None
        assert old.glimpse_log_prob is not None
        loss = objective.policy_loss(
            distributions.log_prob(output.glimpse_logits, old.glimpse),
            old.glimpse_log_prob,
            samples.returns - policy.glimpse_baseline,
        )
        entropy = distributions.entropy(output.glimpse_logits).mean()
        terms = {"glimpse_loss": loss, "glimpse_entropy_loss": -entropy}
        return self.coef * loss - self.ent_coef * entropy, terms

    def end_rollout(
        self, policy: AttentionPolicy, buffer: AttentionRolloutBuffer, ranks: Ranks
    ) -> None:
        """Moves the baseline a tenth of the way to the rollout's mean return."""
        policy.glimpse_baseline.lerp_(ranks.mean_(buffer.returns.mean()), BASELINE_RATE)
