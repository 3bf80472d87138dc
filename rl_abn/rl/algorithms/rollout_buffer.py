"""What the agent saw, did and computed, for one update; on the device, in the layout of use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rl_abn.rl.algorithms.advantages import gae
from rl_abn.rl.algorithms.minibatch_share import MinibatchShare
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.outputs import PolicyState


class RecordedOutput(NamedTuple):
    """What was computed when the rollout was played; the policy's own by `PolicyOutput`'s names.

    Attributes:
        value: [B].
        log_prob: Of the actions, [B].
        branch_value: [B]; None without a branch that answers.
        branch_log_prob: Of the actions under the branch's policy, [B], or None.
        glimpse: Where hard attention looked, int64 [B]; None for other agents.
        glimpse_log_prob: Of those locations, [B], or None.
        teacher_logits: The teacher's policy, [B, A]; None without a teacher.
    """

    value: Tensor
    log_prob: Tensor
    branch_value: Tensor | None = None
    branch_log_prob: Tensor | None = None
    glimpse: Tensor | None = None
    glimpse_log_prob: Tensor | None = None
    teacher_logits: Tensor | None = None


_LOG_PROBS = {
    "log_prob": ("action_logits", "actions"),
    "branch_log_prob": ("branch_logits", "actions"),
    "glimpse_log_prob": ("glimpse_logits", "glimpse"),
}
"""Log-probabilities that are computed when a rollout is full: of what, under which logits."""


class RolloutSamples(NamedTuple):
    """One minibatch, or a share of it.

    Attributes:
        observations: As the space has them, [B, C, H, W], in channels-last memory.
        actions: int64 [B].
        advantages: [B].
        returns: [B].
        old: What the policy computed when the steps were played.
        state: The memory before the first step of each sequence; None for agents without.
        reset_mask: Where the memory is emptied before a step, bool [T, n]; None without memory.
        share: Which part of the minibatch it is.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    old: RecordedOutput
    state: PolicyState = None
    reset_mask: Tensor | None = None
    share: MinibatchShare = MinibatchShare()


class AttentionRolloutBuffer(RolloutBuffer):
    """A rollout buffer of tensors that keeps whatever a policy puts out, by name, and its memory.

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
        steps = (buffer_size, n_envs)
        dtype = torch.from_numpy(np.empty(0, observation_space.dtype)).dtype
        self.observations = torch.zeros(
            (*steps, height, width, channels), dtype=dtype, device=self.device
        )
        self.actions = torch.zeros(steps, dtype=torch.int64, device=self.device)
        self.rewards, self.episode_starts = torch.zeros(steps), torch.zeros(steps)
        self.advantages = torch.zeros(steps, device=self.device)
        self.returns = torch.zeros_like(self.advantages)
        self.recorded: dict[str, Tensor] = {}
        # A GPU fetches from pinned memory while the processor goes on.
        self._pinned: Tensor | None = None
        if self.device.type == "cuda":
            self._pinned = torch.zeros((n_envs, *self.obs_shape), dtype=dtype, pin_memory=True)

    @property
    def old(self) -> RecordedOutput:
        """What was computed at every step of the last full rollout, each [T, N] or [T, N, A]."""
        return RecordedOutput(**self.recorded)

    @property
    def n_sequences(self) -> int:
        """Sequences in a full buffer: those of all games' first steps, then the next ones."""
        return self.buffer_size // self.sequence_length * self.n_envs

    def hold_states(self, state_of_one: PolicyState) -> None:
        """Makes room for an agent's memory, of which this is one game's, each [1, ...]."""
        sequences = (self.buffer_size // self.sequence_length, self.n_envs)
        self.states = tuple(
            part.new_zeros((*sequences, *part.shape[1:])) for part in state_of_one or ()
        )

    def reset(self) -> None:
        """Starts a new rollout; the next steps overwrite the last ones."""
        self.pos = 0
        self.full = False
        # By the first game of a part, and by name: a tensor a step.
        self._steps: dict[int, dict[str, list[Tensor]]] = defaultdict(lambda: defaultdict(list))

    def observe(self, t: int, games: slice, obs: np.ndarray) -> Tensor:
        """Writes some games' observations at step t, [n, C, H, W], and returns them in the buffer.

        They are written this once; the policy reads them where they lie.
        """
        slot = self.observations[t, games]
        if self._pinned is None:
            _channels_last(obs, slot.numpy())
        else:
            pinned = self._pinned[games].copy_(torch.from_numpy(obs))
            slot.copy_(pinned.to(self.device, non_blocking=True).permute(0, 2, 3, 1))
        return slot.permute(0, 3, 1, 2)

    def remember(self, t: int, games: slice, state: PolicyState, reset_mask: np.ndarray) -> None:
        """Writes some games' memory before step t, and whose memory was emptied before it, [n]."""
        self.reset_mask[t, games] = torch.from_numpy(reset_mask).to(self.device)
        if t % self.sequence_length == 0:
            for mine, part in zip(self.states, state or (), strict=True):
                mine[t // self.sequence_length, games] = part

    def record(self, games: slice, step: dict[str, Tensor]) -> None:
        """Keeps the actions and the policy's output of some games' next step, each [n, ...].

        Args:
            games: Their places among all games.
            step: "actions", the fields of `PolicyOutput.recorded`, and those of a teacher.
        """
        for name, tensor in step.items():
            self._steps[games.start][name].append(tensor)

    def write_recorded(self) -> None:
        """Writes what was recorded at every step, and the log-probabilities of what was chosen.

        All at once, after the last step: while games are played there is no time to lose.
        """
        parts = [part for _, part in sorted(self._steps.items())]
        steps = {
            name: torch.cat([torch.stack(part[name]) for part in parts], dim=1) for name in parts[0]
        }
        self.actions.copy_(steps["actions"])
        for name, (logits, chosen) in _LOG_PROBS.items():
            if logits in steps:
                steps[name] = distributions.log_prob(steps[logits], steps[chosen])
        for name in RecordedOutput._fields:
            if name in steps:
                # In memory that stays: a GPU's graphs read it from where they first found it.
                kept = self.recorded.setdefault(name, torch.empty_like(steps[name]))
                kept.copy_(steps[name])

    def add_step(self, rewards: np.ndarray, episode_starts: np.ndarray) -> None:
        """Writes the rewards of the next step, and moves on.

        Args:
            rewards: [N].
            episode_starts: Whether the step's observations began an episode, [N].
        """
        self.rewards[self.pos] = torch.from_numpy(rewards)
        self.episode_starts[self.pos] = torch.from_numpy(episode_starts)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Refused: use `observe`, `record` and `add_step`, which keep the branch's answers too."""
        raise NotImplementedError(
            "AttentionRolloutBuffer takes steps by observe(), record() and add_step()"
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
                values=torch.cat([self.old.value, last_values.view(1, -1)]),
                dones=ended.to(self.device),
                gamma=self.gamma,
                gae_lambda=self.gae_lambda,
            )
        )
        torch.add(self.advantages, self.old.value, out=self.returns)

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
        """Cuts a minibatch in `count` shares of whole sequences: their rows in it, int64 [b]."""
        rows = torch.arange(len(indices), device=indices.device)
        shares = rows.view(self.sequence_length, -1).chunk(count, dim=1)
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

        def gather(steps: Tensor) -> Tensor:
            # index_select moves whole rows: ten times the speed of indexing, on a CPU.
            return steps.flatten(0, 1).index_select(0, indices)

        samples = RolloutSamples(
            observations=gather(self.observations).permute(0, 3, 1, 2),
            actions=gather(self.actions),
            advantages=gather(self.advantages) if advantages is None else advantages,
            returns=gather(self.returns),
            old=RecordedOutput(**{name: gather(steps) for name, steps in self.recorded.items()}),
        )
        if not self.states:
            return samples
        steps = indices.view(self.sequence_length, -1)
        return samples._replace(
            state=self._states_before(steps[0]), reset_mask=self.reset_mask.flatten()[steps]
        )

    def spread_observations(self, count: int) -> tuple[Tensor, PolicyState]:
        """Returns up to `count` observations spread over the rollout, and the memory before them.

        Returns:
            Observations [n, C, H, W], first steps of sequences, and the memory.
        """
        steps = self._steps_of(self._spread_sequences(count))[0]
        observations = self.observations.flatten(0, 1).index_select(0, steps)
        state = self._states_before(steps) if self.states else None
        return observations.permute(0, 3, 1, 2), state

    def spread(self, count: int) -> Tensor:
        """Returns the numbers of up to `count` steps, int64 [B], in sequences spread evenly."""
        sequences = self._spread_sequences(max(count // self.sequence_length, 1))
        return self._steps_of(sequences).flatten()

    def _spread_sequences(self, count: int) -> Tensor:
        spread = torch.linspace(0, self.n_sequences - 1, min(count, self.n_sequences)).long()
        return spread.to(self.device)

    def _steps_of(self, sequences: Tensor) -> Tensor:
        """Returns the numbers of the steps, [L, k], of sequences [k], counted like steps."""
        first = sequences // self.n_envs * self.sequence_length * self.n_envs
        offsets = torch.arange(self.sequence_length, device=sequences.device) * self.n_envs
        return first + sequences % self.n_envs + offsets[:, None]

    def _states_before(self, first_steps: Tensor) -> PolicyState:
        """Returns the memory before sequences, of which these are the first steps, [k]."""
        t, game = first_steps // self.n_envs, first_steps % self.n_envs
        sequences = t // self.sequence_length * self.n_envs + game
        return tuple(part.flatten(0, 1).index_select(0, sequences) for part in self.states)


def _channels_last(images: np.ndarray, out: np.ndarray) -> None:
    """Copies images [n, C, H, W] to [n, H, W, C]; OpenCV does it five times as fast as NumPy."""
    if images.shape[1] == 1:
        np.copyto(out, images.transpose(0, 2, 3, 1))
        return
    for image, row in zip(images, out, strict=True):
        cv2.merge(tuple(image), row)
