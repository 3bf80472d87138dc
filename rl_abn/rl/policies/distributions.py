"""Categorical policies from their logits, without the checks of `torch.distributions`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sample(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws actions, int64 [B], from logits [B, A]."""
    return sample_with_noise(logits, torch.empty_like(logits).exponential_(generator=generator))


def sample_with_noise(logits: Tensor, noise: Tensor) -> Tensor:
    """Samples actions, int64 [B], with exponential noise [B, A] drawn before; no GPU synchronises.

    The index of the smallest noise / probability is distributed as the policy says (the
    exponential form of the Gumbel-max trick).
    """
    return (logits.softmax(dim=-1) / noise).argmax(dim=-1)


def log_prob(logits: Tensor, actions: Tensor) -> Tensor:
    """Returns the log-probabilities [B] of actions [B] under logits [B, A]."""
    return logits.log_softmax(dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Returns KL(the one ‖ the other) [B], in nats, float64, of logits [B, A]."""
    one, other = logits.double().log_softmax(dim=-1), others.double().log_softmax(dim=-1)
    return F.kl_div(other, one, log_target=True, reduction="none").sum(dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Returns the entropies [B], in nats, of logits [B, A]."""
    log_probs = logits.log_softmax(dim=-1)
    return -(log_probs.exp() * log_probs).sum(dim=-1)
