"""What an agent learns from a teacher on its own games.

Kickstarting (Schmitt et al. 2018, arXiv:1803.03835) adds the distance from a teacher's policy to
the loss of an actor-critic, by a weight that may fall; Proximal Policy Distillation (Spigler, TMLR
2025, arXiv:2407.15134) adds it to PPO's. In both the student chooses the actions, so that it is
taught where it goes. A temperature below 1 sharpens the teacher's policy (Rusu et al., "Policy
distillation", ICLR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl.algorithms.losses.auxiliary import (
    AuxiliaryLoss,
    LossTerms,
    Objective,
    Weight,
    check_answers,
    weight_now,
)
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True)
class TeacherDistillation(AuxiliaryLoss):
    """coef * (KL(teacher ‖ agent) + branch_coef * KL(teacher ‖ branch)).

    The teacher's logits were recorded when the steps were played: an update needs no pass of it.

    Attributes:
        coef: Its weight.
        temperature: What the teacher's logits are divided by.
        greedy: Whether its most probable action is the target instead of its policy.
        branch_coef: Weight of the attention branch's part; 0 for a branch that learns otherwise.
    """

    needs_teacher: ClassVar[bool] = True

    coef: Weight = 1.0
    temperature: float = 1.0
    greedy: bool = False
    branch_coef: Weight = 0.0

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if a branch is to learn and the policy has none that answers."""
        if self.branch_coef != 0:
            check_answers(policy, "branch_coef")

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the weighted divergences of a minibatch."""
        teacher_logits = samples.old.teacher_logits
        assert teacher_logits is not None
        target = self.target(teacher_logits)
        agrees = output.action_logits.argmax(dim=-1) == teacher_logits.argmax(dim=-1)
        kl = loss = _divergence(target, output.action_logits)
        terms = {
            "teacher_kl": kl,
            "teacher_agreement": agrees.float().mean(),
            "teacher_coef": torch.as_tensor(
                weight_now(self.coef), dtype=kl.dtype, device=kl.device
            ),
        }
        if self.branch_coef != 0:
            assert output.branch_logits is not None
            branch_kl = _divergence(target, output.branch_logits)
            loss = kl + self.branch_coef * branch_kl
            terms["branch_teacher_kl"] = branch_kl
        return self.coef * loss, terms

    def target(self, teacher_logits: Float[Tensor, "B A"]) -> Float[Tensor, "B A"]:
        """Returns the probabilities to learn."""
        if self.greedy:
            actions = teacher_logits.argmax(dim=-1)
            return F.one_hot(actions, teacher_logits.shape[-1]).to(teacher_logits.dtype)
        return (teacher_logits / self.temperature).softmax(dim=-1)


def _divergence(target: Tensor, logits: Tensor) -> Tensor:
    """KL(target ‖ policy) in nats, mean over the batch, []."""
    return F.kl_div(logits.log_softmax(dim=-1), target, reduction="batchmean")
