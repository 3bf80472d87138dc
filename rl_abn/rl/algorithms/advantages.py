"""What a rollout's steps were worth: advantages, and how well the values predicted the returns."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    *, rewards: Tensor, values: Tensor, dones: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """Generalized advantage estimation (Schulman et al. 2016, eq. 16).

    Args:
        rewards: Of each step, [T, N].
        values: Of the observation before each step and after the last, [T + 1, N].
        dones: 1 where the step ended an episode, [T, N].
        gamma: Discount.
        gae_lambda: 0 is the one-step error, 1 the Monte-Carlo return less the value.

    Returns:
        Advantages [T, N].
    """
    goes_on = 1.0 - dones
    deltas = rewards + gamma * values[1:] * goes_on - values[:-1]
    decay = gamma * gae_lambda * goes_on
    advantages = torch.empty_like(rewards)
    running = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        running = deltas[t] + decay[t] * running
        advantages[t] = running
    return advantages


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """Returns 1 - Var[returns - values] / Var[returns]: 1 is perfect, 0 no better than a constant.

    NaN where the returns do not vary.
    """
    variance = returns.var()
    fit = 1 - (returns - values).var() / variance
    return torch.where(variance == 0, torch.nan, fit)
