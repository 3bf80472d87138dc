"""What rewards are learned from: their sign, the rewards by the size of returns, or as they are."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from rl_abn.rl.training.distributed import Ranks

RewardForm = Literal["sign", "return_std", "none"]
"""What is made of rewards before anything is learned from them.

"sign": -1, 0 or 1 (Mnih et al. 2015), so that a pellet of ten points counts as a ghost of 1,600.
"return_std": divided by the standard deviation of discounted returns so far (Engstrom et al., ICLR
2020, section 3), so that a larger reward stays larger. "none": as they are.
"""
REWARD_FORMS: tuple[str, ...] = get_args(RewardForm)


def reward_form(value: str | bool) -> RewardForm:
    """Returns the form of a word, or of whether rewards are clipped to their sign.

    Raises:
        ValueError: If there is no such form.
    """
    if isinstance(value, bool):
        return "sign" if value else "none"
    if value not in REWARD_FORMS:
        raise ValueError(f"expected clip_reward of {list(REWARD_FORMS)}, got '{value}'")
    return value  # type: ignore[return-value]


LARGEST = 10.0
"""A reward is clipped to this many standard deviations."""


def deviation_of(mean: float, mean_square: float) -> float:
    """Returns the standard deviation of returns that rewards are divided by, 1 where it is 0."""
    return float(max(mean_square - mean**2, 0.0) ** 0.5 or 1.0)


class RewardScale:
    """Turns a rollout's rewards into what is learned from.

    Args:
        form: A `RewardForm`.
        gamma: Discount of the returns.
        moments: Of the returns so far: rollouts, mean and mean square, float64 [3], changed in
            place. "return_std" needs them.
        ranks: The processes that train together; all scale by the returns of all.

    Raises:
        ValueError: If it needs moments and there are none.
    """

    def __init__(
        self, form: RewardForm, gamma: float, moments: Tensor | None, ranks: Ranks
    ) -> None:
        if form == "return_std" and moments is None:
            raise ValueError("expected a policy that keeps the moments of returns, got one without")
        self.form = form
        self.gamma = gamma
        self.moments = moments
        self.ranks = ranks
        self._returns: Tensor | None = None

    def __call__(self, rewards: Tensor, dones: Tensor) -> Tensor:
        """Returns what is learned from, [T, N], on the host as they are.

        Args:
            rewards: Of a rollout, [T, N].
            dones: Whether an episode ended at a step, [T, N].
        """
        if self.form == "none":
            return rewards
        if self.form == "sign":
            return rewards.sign()
        scale = self._update(rewards, dones)
        return (rewards / scale).clamp(-LARGEST, LARGEST)

    def _update(self, rewards: Tensor, dones: Tensor) -> float:
        """Takes the returns up to each step into the moments; returns their standard deviation."""
        assert self.moments is not None
        returns = torch.zeros_like(rewards[0]) if self._returns is None else self._returns
        steps = []
        for reward, done in zip(rewards, dones, strict=True):
            returns = self.gamma * returns + reward
            steps.append(returns)
            returns = returns * (1.0 - done.float())
        self._returns = returns
        seen = torch.stack(steps).double()
        now = torch.stack([seen.mean(), seen.square().mean()])
        now = self.ranks.mean_(now.to(self.moments.device)).to(now.device)
        before, (mean, square) = self.moments[0].item(), self.moments[1:].tolist()
        share = 1.0 / (before + 1.0)
        mean += share * (now[0].item() - mean)
        square += share * (now[1].item() - square)
        self.moments.copy_(torch.tensor([before + 1.0, mean, square], dtype=torch.float64))
        return deviation_of(mean, square)
