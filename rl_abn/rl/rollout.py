"""What the agent saw, did and thought, for one update; on the device, in the layout of use."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rl_abn.rl import categorical
from rl_abn.rl.policy import PolicyAttention


class RolloutSamples(NamedTuple):
    """One minibatch.

    Attributes:
        observations: uint8 [B, C, H, W], in channels-last memory.
        actions: int64 [B].
        old_values: [B].
        old_log_prob: [B].
        advantages: [B].
        returns: [B].
        old_branch_values: [B]; 0 without a branch that answers.
        old_branch_log_prob: [B]; 0 without a branch that answers.
    """

    observations: Tensor
    actions: Tensor
    old_values: Tensor
    old_log_prob: Tensor
    advantages: Tensor
    returns: Tensor
    old_branch_values: Tensor
    old_branch_log_prob: Tensor


class AttentionRolloutBuffer(RolloutBuffer):
    """A rollout buffer of tensors that also keeps the branch's own answers.

    Observations are kept as uint8 NHWC, so that a minibatch is one row gather and lies in memory
    as the convolutions want it (channels-last).

    Args:
        buffer_size: T, steps of each game.
        observation_space: Pixels uint8 [C, H, W].
        action_space: Discrete.
        device: Where the tensors live.
        gae_lambda: See `gae`.
        gamma: Discount.
        n_envs: N, games.
    """

    observations: Tensor  # type: ignore[assignment]
    actions: Tensor  # type: ignore[assignment]
    rewards: Tensor  # type: ignore[assignment]
    advantages: Tensor  # type: ignore[assignment]
    returns: Tensor  # type: ignore[assignment]
    episode_starts: Tensor  # type: ignore[assignment]
    log_probs: Tensor  # type: ignore[assignment]
    values: Tensor  # type: ignore[assignment]

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "auto",
        gae_lambda: float = 1,
        gamma: float = 0.99,
        n_envs: int = 1,
    ) -> None:
        super().__init__(
            buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs
        )
        assert isinstance(self.obs_shape, tuple)
        channels, height, width = self.obs_shape
        places = (buffer_size, n_envs)
        zeros = torch.zeros(places, device=self.device)
        self.observations = torch.zeros(
            (*places, height, width, channels), dtype=torch.uint8, device=self.device
        )
        self.actions = torch.zeros(places, dtype=torch.int64, device=self.device)
        self.rewards, self.episode_starts = zeros.clone(), zeros.clone()
        self.values, self.log_probs = zeros.clone(), zeros.clone()
        self.branch_values, self.branch_log_probs = zeros.clone(), zeros.clone()
        self.advantages, self.returns = zeros.clone(), zeros.clone()

    def reset(self) -> None:
        """Starts a new rollout; the next steps overwrite the last ones."""
        self.pos = 0
        self.full = False

    def observe(self, obs: np.ndarray) -> Tensor:
        """Writes the observations of the step to come, uint8 [N, C, H, W], and returns them.

        This is the one time they are written; the agent looks at them in the buffer.
        """
        slot = self.observations[self.pos].permute(0, 3, 1, 2)
        return slot.copy_(torch.from_numpy(obs))

    def add_step(
        self, actions: Tensor, rewards: Tensor, episode_starts: Tensor, attention: PolicyAttention
    ) -> None:
        """Writes what the agent did on the observations of `observe`, and moves on.

        Args:
            actions: int64 [N].
            rewards: [N].
            episode_starts: Whether the observations began an episode, [N].
            attention: What the agent thought.
        """
        t = self.pos
        self.actions[t] = actions
        self.rewards[t] = rewards
        self.episode_starts[t] = episode_starts
        self.values[t] = attention.value
        self.log_probs[t] = categorical.log_prob(attention.action_logits, actions)
        if attention.branch_logits is not None and attention.branch_value is not None:
            self.branch_values[t] = attention.branch_value
            self.branch_log_probs[t] = categorical.log_prob(attention.branch_logits, actions)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Refused: use `observe` and `add_step`, which keep the branch's answers too."""
        raise NotImplementedError("AttentionRolloutBuffer takes steps by observe() and add_step()")

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Computes advantages and returns of a full buffer.

        Args:
            last_values: Values of the observations after the last step, [N].
            dones: Whether the last step ended an episode, [N].
        """
        last_done = torch.as_tensor(dones, dtype=torch.float32, device=self.device)
        self.advantages = gae(
            rewards=self.rewards,
            values=torch.cat([self.values, last_values.view(1, -1)]),
            dones=torch.cat([self.episode_starts[1:], last_done.view(1, -1)]),
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        self.returns = self.advantages + self.values

    def get(  # type: ignore[override]
        self, batch_size: int | None = None
    ) -> Generator[RolloutSamples, None, None]:
        """Yields every step once, in random order, in minibatches (None: all at once, in order)."""
        n_steps = self.buffer_size * self.n_envs
        flat = [
            self.observations.flatten(0, 1),
            *(
                rows.flatten()
                for rows in (
                    self.actions,
                    self.values,
                    self.log_probs,
                    self.advantages,
                    self.returns,
                    self.branch_values,
                    self.branch_log_probs,
                )
            ),
        ]
        if batch_size is None:
            batches = [flat]
        else:
            order = torch.randperm(n_steps, device=self.device)
            batches = ([rows[i] for rows in flat] for i in order.split(batch_size))  # type: ignore[assignment]
        for observations, *rest in batches:
            yield RolloutSamples(observations.permute(0, 3, 1, 2), *rest)


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
