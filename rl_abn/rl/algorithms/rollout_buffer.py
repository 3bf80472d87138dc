"""What the agent saw, did and thought, for one update; on the device, in the layout of use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import PolicyOutput, PolicyState


class RolloutSamples(NamedTuple):
    """One minibatch.

    Attributes:
        observations: As the space has them, [B, C, H, W], in channels-last memory.
        actions: int64 [B].
        old_values: [B].
        old_log_prob: [B].
        advantages: [B].
        returns: [B].
        old_branch_values: [B]; 0 without a branch that answers.
        old_branch_log_prob: [B]; 0 without a branch that answers.
        glimpses: Where hard attention looked, int64 [B]; 0 for other agents.
        old_glimpse_log_prob: How likely that was, [B]; 0 for other agents.
        state: What an agent with memory remembered before the first step of each sequence.
        reset_mask: Where its memory is emptied before a step, bool [T, n]; None without memory.
    """

    observations: Tensor
    actions: Tensor
    old_values: Tensor
    old_log_prob: Tensor
    advantages: Tensor
    returns: Tensor
    old_branch_values: Tensor
    old_branch_log_prob: Tensor
    glimpses: Tensor
    old_glimpse_log_prob: Tensor
    state: PolicyState = None
    reset_mask: Tensor | None = None


class Thought(NamedTuple):
    """What an agent made of n observations. What it has no branch or places for is None.

    Attributes:
        actions: What it does, int64 [n].
        values: What it expects, [n].
        action_logits: What it drew that from, [n, A].
        branch_values: What its branch expects, [n].
        branch_logits: The branch's own policy, [n, A].
        glimpses: Where it looked, int64 [n].
        glimpse_logits: What it drew that from, [n, L].
    """

    actions: Tensor
    values: Tensor
    action_logits: Tensor
    branch_values: Tensor | None
    branch_logits: Tensor | None
    glimpses: Tensor | None
    glimpse_logits: Tensor | None

    @classmethod
    def of(cls, attention: PolicyOutput, actions: Tensor) -> Thought:
        """Reads what is kept of an agent's attention and the actions it led to, int64 [n]."""
        return cls(
            actions,
            attention.value,
            attention.action_logits,
            attention.branch_value,
            attention.branch_logits,
            attention.glimpse,
            attention.glimpse_logits,
        )


def _joined(join: Callable[[tuple[Tensor, ...]], Tensor], thoughts: Sequence[Thought]) -> Thought:
    """Joins thoughts, field by field."""
    fields = zip(*thoughts, strict=True)
    return Thought(*(None if field[0] is None else join(field) for field in fields))  # type: ignore[arg-type]


class AttentionRolloutBuffer(RolloutBuffer):
    """A rollout buffer of tensors that also keeps the branch's own answers, places and memory.

    Observations are kept NHWC, in the type of their space, so that a minibatch is one row gather
    and lies in memory as the convolutions want it (channels-last). Rewards and episode starts wait
    on the host until the rollout is full, so that on a GPU a step sends nothing but the
    observations.

    A step has a number: t * N + the game's. Minibatches are made of whole sequences of steps that
    follow each other in one game, and list all first steps first. For agents with memory the
    buffer keeps what they remembered before each sequence; without memory a sequence is one step.

    Args:
        buffer_size: T, steps of each game.
        observation_space: [C, H, W]; pixels as uint8, or floats.
        action_space: Discrete.
        device: Where the tensors live.
        gae_lambda: See `gae`.
        gamma: Discount.
        n_envs: N, games.
        sequence_length: L, steps of a sequence; has to divide `buffer_size`.

    Raises:
        ValueError: If it does not.
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
        sequence_length: int = 1,
    ) -> None:
        if buffer_size % sequence_length:
            raise ValueError(
                f"expected a sequence_length that divides n_steps = {buffer_size}, "
                f"got {sequence_length}"
            )
        super().__init__(
            buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs
        )
        self.sequence_length = sequence_length
        self.states: tuple[Tensor, ...] = ()
        self.reset_mask = torch.zeros((buffer_size, n_envs), dtype=torch.bool, device=self.device)
        assert isinstance(self.obs_shape, tuple)
        channels, height, width = self.obs_shape
        places = (buffer_size, n_envs)
        zeros = torch.zeros(places, device=self.device)
        dtype = torch.from_numpy(np.empty(0, observation_space.dtype)).dtype
        self.observations = torch.zeros(
            (*places, height, width, channels), dtype=dtype, device=self.device
        )
        self.actions = torch.zeros(places, dtype=torch.int64, device=self.device)
        self.rewards, self.episode_starts = torch.zeros(places), torch.zeros(places)
        self.values, self.log_probs = zeros.clone(), zeros.clone()
        self.branch_values, self.branch_log_probs = zeros.clone(), zeros.clone()
        self.glimpses, self.glimpse_log_probs = torch.zeros_like(self.actions), zeros.clone()
        self.advantages, self.returns = zeros.clone(), zeros.clone()
        # A GPU fetches from pinned memory while the processor goes on.
        self._pinned: Tensor | None = None
        if self.device.type == "cuda":
            self._pinned = torch.zeros((n_envs, *self.obs_shape), dtype=dtype, pin_memory=True)

    @property
    def n_sequences(self) -> int:
        """Sequences in a full buffer: those of all games' first steps, then the next ones."""
        return self.buffer_size // self.sequence_length * self.n_envs

    def hold_states(self, state_of_one: PolicyState) -> None:
        """Makes room for what an agent remembers, of which this is one game's, each [1, ...]."""
        places = (self.buffer_size // self.sequence_length, self.n_envs)
        self.states = tuple(
            part.new_zeros((*places, *part.shape[1:])) for part in state_of_one or ()
        )

    def reset(self) -> None:
        """Starts a new rollout; the next steps overwrite the last ones."""
        self.pos = 0
        self.full = False
        self._thoughts: dict[int, list[Thought]] = {}  # by the first of the games

    def observe(self, t: int, games: slice, obs: np.ndarray) -> Tensor:
        """Writes what some games show at step t, [n, C, H, W], and returns it.

        This is the one time it is written; the agent looks at it in the buffer.
        """
        slot = self.observations[t, games]
        if self._pinned is None:
            _channels_last(obs, slot.numpy())
        else:
            pinned = self._pinned[games].copy_(torch.from_numpy(obs))
            slot.copy_(pinned.to(self.device, non_blocking=True).permute(0, 2, 3, 1))
        return slot.permute(0, 3, 1, 2)

    def remember(self, t: int, games: slice, state: PolicyState, reset_mask: np.ndarray) -> None:
        """Writes what some games remembered before step t, and whose memory was emptied, [n]."""
        self.reset_mask[t, games] = torch.from_numpy(reset_mask).to(self.device)
        if t % self.sequence_length == 0:
            for mine, part in zip(self.states, state or (), strict=True):
                mine[t // self.sequence_length, games] = part

    def think(self, games: slice, thought: Thought) -> None:
        """Keeps what the agent thought of some games' next step, and did."""
        self._thoughts.setdefault(games.start, []).append(thought)

    def write_thoughts(self) -> None:
        """Writes what was thought at every step, and how likely it was to do what was done.

        All at once, after the last step: a step has no time to lose.
        """
        parts = [_joined(torch.stack, thoughts) for _, thoughts in sorted(self._thoughts.items())]
        thought = _joined(partial(torch.cat, dim=1), parts)
        self.actions.copy_(thought.actions)
        self.values.copy_(thought.values)
        self.log_probs.copy_(distributions.log_prob(thought.action_logits, thought.actions))
        if thought.branch_values is not None and thought.branch_logits is not None:
            self.branch_values.copy_(thought.branch_values)
            self.branch_log_probs.copy_(
                distributions.log_prob(thought.branch_logits, thought.actions)
            )
        if thought.glimpses is not None and thought.glimpse_logits is not None:
            self.glimpses.copy_(thought.glimpses)
            self.glimpse_log_probs.copy_(
                distributions.log_prob(thought.glimpse_logits, thought.glimpses)
            )

    def add_step(self, rewards: np.ndarray, episode_starts: np.ndarray) -> None:
        """Writes what came of the next step, and moves on.

        Args:
            rewards: [N].
            episode_starts: Whether the step's observations began an episode, [N].
        """
        self.rewards[self.pos] = torch.from_numpy(rewards)
        self.episode_starts[self.pos] = torch.from_numpy(episode_starts)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Refused: use `observe`, `think` and `add_step`, which keep the branch's answers too."""
        raise NotImplementedError(
            "AttentionRolloutBuffer takes steps by observe(), think() and add_step()"
        )

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Computes advantages and returns of a full buffer, in place.

        Args:
            last_values: Values of the observations after the last step, [N].
            dones: Whether the last step ended an episode, [N].
        """
        ended = torch.cat([self.episode_starts[1:], torch.from_numpy(dones).float().view(1, -1)])
        self.advantages.copy_(
            gae(
                rewards=self.rewards.to(self.device),
                values=torch.cat([self.values, last_values.view(1, -1)]),
                dones=ended.to(self.device),
                gamma=self.gamma,
                gae_lambda=self.gae_lambda,
            )
        )
        torch.add(self.advantages, self.values, out=self.returns)

    def shuffled(self, batch_size: int) -> Iterator[Tensor]:
        """Yields the numbers of every step once, in minibatches int64 [B] of random sequences."""
        # A generator of its own: however many steps there are, the others go on alike.
        seed = int(torch.randint(2**62, ()))
        generator = torch.Generator(self.device).manual_seed(seed)
        order = torch.randperm(self.n_sequences, generator=generator, device=self.device)
        for sequences in order.split(batch_size // self.sequence_length):
            yield self._steps_of(sequences).flatten()

    def everything(self) -> Tensor:
        """Returns the numbers of every step, int64 [T * N], sequences in order."""
        return self._steps_of(torch.arange(self.n_sequences, device=self.device)).flatten()

    def split(self, indices: Tensor, count: int) -> list[Tensor]:
        """Cuts a minibatch in `count` shares of whole sequences: their places in it, int64 [b]."""
        places = torch.arange(len(indices), device=indices.device)
        shares = places.view(self.sequence_length, -1).chunk(count, dim=1)
        return [share.flatten() for share in shares]

    def samples(
        self, indices: Tensor | None = None, advantages: Tensor | None = None
    ) -> RolloutSamples:
        """Gathers whole sequences.

        Args:
            indices: The numbers of their steps, all first steps first, int64 [B]; None takes all.
            advantages: What to learn from instead of the steps' own advantages, [B].
        """
        if indices is None:
            indices = self.everything()
        # index_select moves whole rows: ten times the speed of indexing, on a CPU.
        observations, *rest = (
            rows.flatten(0, 1).index_select(0, indices)
            for rows in (
                self.observations,
                self.actions,
                self.values,
                self.log_probs,
                self.advantages,
                self.returns,
                self.branch_values,
                self.branch_log_probs,
                self.glimpses,
                self.glimpse_log_probs,
            )
        )
        samples = RolloutSamples(observations.permute(0, 3, 1, 2), *rest)  # type: ignore[arg-type]
        if advantages is not None:
            samples = samples._replace(advantages=advantages)
        if not self.states:
            return samples
        steps = indices.view(self.sequence_length, -1)
        return samples._replace(
            state=self._states_before(steps[0]), reset_mask=self.reset_mask.flatten()[steps]
        )

    def spread_observations(self, count: int) -> tuple[Tensor, PolicyState]:
        """Returns up to `count` observations spread over the rollout, and what came before them.

        Returns:
            Observations [n, C, H, W], first steps of sequences, and the memory they met.
        """
        spread = torch.linspace(0, self.n_sequences - 1, min(count, self.n_sequences)).long()
        steps = self._steps_of(spread.to(self.device))[0]
        observations = self.observations.flatten(0, 1).index_select(0, steps)
        state = self._states_before(steps) if self.states else None
        return observations.permute(0, 3, 1, 2), state

    def _steps_of(self, sequences: Tensor) -> Tensor:
        """Returns the numbers of the steps, [L, k], of sequences [k], counted like steps."""
        first = sequences // self.n_envs * self.sequence_length * self.n_envs
        offsets = torch.arange(self.sequence_length, device=sequences.device) * self.n_envs
        return first + sequences % self.n_envs + offsets[:, None]

    def _states_before(self, first_steps: Tensor) -> PolicyState:
        """Returns what was remembered before sequences, of which these are the first steps, [k]."""
        t, game = first_steps // self.n_envs, first_steps % self.n_envs
        sequences = t // self.sequence_length * self.n_envs + game
        return tuple(part.flatten(0, 1).index_select(0, sequences) for part in self.states)


def _channels_last(pictures: np.ndarray, places: np.ndarray) -> None:
    """Copies pictures [n, C, H, W] to places [n, H, W, C]; OpenCV does it five times as fast."""
    if pictures.shape[1] == 1:
        np.copyto(places, pictures.transpose(0, 2, 3, 1))
        return
    for picture, place in zip(pictures, places, strict=True):
        cv2.merge(tuple(picture), place)


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
