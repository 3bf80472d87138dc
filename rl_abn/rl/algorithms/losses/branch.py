"""What teaches the attention branch its own policy and value (Fukui et al., CVPR 2019, eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl.algorithms.losses.auxiliary import (
    AuxiliaryLoss,
    LossTerms,
    Objective,
    Weight,
    check_answers,
)
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True)
class _BranchLoss(AuxiliaryLoss):
    """A loss of the branch's answer, L_branch, added to the agent's as coef * L_branch.

    Attributes:
        coef: Its weight.
    """

    coef: Weight = 1.0

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy's branch gives no answer."""
        check_answers(policy, type(self).__name__)

    def _weighted(self, loss: Tensor, terms: dict[str, Tensor]) -> LossTerms:
        named = {f"branch_{name}": term for name, term in terms.items()}
        return self.coef * loss, {"branch_loss": loss, **named}


@dataclass(frozen=True)
class BranchActorCritic(_BranchLoss):
    """The algorithm's own loss on the branch's policy and value.

    Both branches are judged by the same advantages and returns. The branch has a probability
    ratio of its own, to its own old log-probabilities: it is 1 on the first minibatch.
    """

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes coef * L_branch."""
        assert output.branch_logits is not None
        assert output.branch_value is not None
        assert samples.old.branch_log_prob is not None
        return self._weighted(
            *objective.actor_critic(
                output.branch_logits, output.branch_value, samples.old.branch_log_prob
            )
        )


@dataclass(frozen=True)
class BranchOffPolicy(_BranchLoss):
    """The algorithm's own loss on the branch, corrected for whose actions they were.

    The agent chose the actions, so the branch's probability ratio is to the agent that chose them.
    """

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes coef * L_branch."""
        assert output.branch_logits is not None
        assert output.branch_value is not None
        return self._weighted(
            *objective.off_policy().actor_critic(
                output.branch_logits, output.branch_value, samples.old.log_prob
            )
        )


@dataclass(frozen=True)
class BranchDistillation(_BranchLoss):
    """KL(agent ‖ branch) + vf_coef * squared value error; the agent is held fixed."""

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes coef * L_branch."""
        assert output.branch_logits is not None
        assert output.branch_value is not None
        target = output.action_logits.detach().log_softmax(dim=-1)
        branch = output.branch_logits.log_softmax(dim=-1)
        kl = F.kl_div(branch, target, log_target=True, reduction="batchmean")
        value_loss = F.mse_loss(output.branch_value, output.value.detach())
        return self._weighted(
            kl + objective.vf_coef * value_loss, {"distillation_kl": kl, "value_loss": value_loss}
        )
