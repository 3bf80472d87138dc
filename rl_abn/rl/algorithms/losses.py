"""Terms of the losses that PPO and A2C share."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import PolicyOutput


class ActorCriticTerms(NamedTuple):
    """What both algorithms need of one branch's answer: log-probabilities, entropy, value loss."""

    log_prob: Tensor
    entropy: Tensor
    value_loss: Tensor


def actor_critic_terms(
    action_logits: Tensor, value: Tensor, actions: Tensor, returns: Tensor
) -> ActorCriticTerms:
    """Reads the terms of a branch's answer, logits [B, A] and value [B], for actions [B]."""
    return ActorCriticTerms(
        log_prob=distributions.log_prob(action_logits, actions),
        entropy=distributions.entropy(action_logits).mean(),
        value_loss=F.mse_loss(value, returns),
    )


def distillation_loss(attention: PolicyOutput, vf_coef: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns KL(agent ‖ branch) + vf_coef * squared value error, the agent held fixed."""
    assert attention.branch_logits is not None
    assert attention.branch_value is not None
    teacher = attention.action_logits.detach().log_softmax(dim=-1)
    student = attention.branch_logits.log_softmax(dim=-1)
    kl = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
    value_loss = F.mse_loss(attention.branch_value, attention.value.detach())
    return kl + vf_coef * value_loss, {"distillation_kl": kl, "value_loss": value_loss}


def with_branch(
    loss: Tensor,
    terms: dict[str, Tensor],
    branch_loss: Tensor,
    branch_terms: dict[str, Tensor],
    branch_coef: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns L_agent + branch_coef * L_branch, and the terms of both by their logged names."""
    total = loss + branch_coef * branch_loss
    named = {f"branch_{name}": term for name, term in branch_terms.items()}
    return total, {"loss": total, **terms, "branch_loss": branch_loss, **named}


def with_glimpses(
    loss: Tensor,
    terms: dict[str, Tensor],
    glimpse_loss: Tensor,
    glimpse_logits: Tensor,
    coef: float,
    ent_coef: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the loss with that of hard attention's draws, and all terms by their logged names.

    L + coef * L_place - ent_coef * H[place] (Xu et al., ICML 2015, eq. 12).

    Args:
        loss: L, the agent's.
        terms: Its terms.
        glimpse_loss: REINFORCE's, of the places that were drawn.
        glimpse_logits: Log-probabilities of all glimpses, [B, L].
        coef: Weight of the loss.
        ent_coef: Weight of the entropy.
    """
    entropy = distributions.entropy(glimpse_logits).mean()
    total = loss + coef * glimpse_loss - ent_coef * entropy
    return total, {
        **terms,
        "loss": total,
        "glimpse_loss": glimpse_loss,
        "glimpse_entropy_loss": -entropy,
    }
