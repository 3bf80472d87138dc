"""Plays rollouts: receive what the games show, act, send the actions, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rl_abn.networks import forget
from rl_abn.rl.algorithms.reward_scale import RewardScale
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer
from rl_abn.rl.envs.env_parts import Part, env_parts_of
from rl_abn.rl.envs.two_view_vec_env import TwoViewVecEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyState
from rl_abn.rl.training.distributed import Ranks

Act = Callable[[Tensor, Tensor, PolicyState], tuple[dict[str, Tensor], PolicyState]]
"""From observations, noise and memory to a step as the buffer records it, and the memory after."""

OnStep = Callable[[np.ndarray, np.ndarray, list[dict[str, Any]]], bool]
"""Called with the rewards, dones and infos of all games after a step; False ends the rollout."""


class _Outcome(NamedTuple):
    """What a step brought in one part's games."""

    rewards: np.ndarray
    dones: np.ndarray
    infos: list[dict[str, Any]]


class _Truncation(NamedTuple):
    """A game that a limit cut off at a step: its number, last observation [C, H, W] and memory."""

    step: int
    game: int
    observation: np.ndarray
    state: PolicyState


class Collector:
    """Plays all games for the steps of a rollout and records them in a buffer.

    Where the games come in several parts, the agent acts in one part while the emulators of the
    others run.

    Args:
        env: The games.
        policy: The agent.
        act: How it acts.
        ranks: The processes that train together; `env` has this one's games.
        gamma: Discount.
        reward_scale: What is made of the rewards.
        teacher: An agent whose policy is recorded at every step, where one is learnt from. In games
            that are seen in two ways it is shown the second.

    Attributes:
        observations: Those to act on next, [N, C, H, W].
        episode_starts: Whether they are the first of an episode, bool [N].
    """

    def __init__(
        self,
        env: VecEnv,
        policy: AttentionPolicy,
        act: Act,
        *,
        ranks: Ranks,
        gamma: float,
        reward_scale: RewardScale,
        teacher: AttentionPolicy | None = None,
    ) -> None:
        self.env = env
        self.policy = policy
        self.act = act
        self.ranks = ranks
        self.gamma = gamma
        self.reward_scale = reward_scale
        self.teacher = teacher
        self._parts = env_parts_of(env)

    def start(self, observations: np.ndarray) -> None:
        """Begins with new games everywhere, of which these are the first observations."""
        self.observations = observations
        self.episode_starts = np.ones(self.env.num_envs, dtype=bool)
        self._states = [self.policy.initial_state(part.num_envs) for part, _ in self._parts]
        if self.teacher is not None:  # one a part: each remembers its own games
            self._lost_lives = np.zeros(self.env.num_envs, dtype=bool)
            self._game_starts = ~self._lost_lives
            self._teachers = [
                AgentPlayer("teacher", self.teacher, greedy=True, seed=0) for _ in self._parts
            ]

    def collect(self, buffer: AttentionRolloutBuffer, on_step: OnStep) -> bool:
        """Fills a buffer and computes its advantages and returns.

        Args:
            buffer: Where to; what it holds is overwritten.
            on_step: Called after every step of all games.

        Returns:
            Whether the buffer is full: False once `on_step` said to stop.
        """
        buffer.reset()
        n_steps, n_parts = buffer.buffer_size, len(self._parts)
        noise = self._draw_noise(n_steps)
        seen = [self.observations[games] for _, games in self._parts]
        self._reset_mask = np.zeros(self.env.num_envs, dtype=bool)
        self._truncations: list[_Truncation] = []
        last_values: list[Tensor] = []
        n_together = max(part.num_envs for part, _ in self._parts)
        with self.policy.compute.acting(self.policy.device, n_together, self.policy) as pause:
            for t in range(n_steps):
                outcomes: list[_Outcome] = []
                for i, (part, games) in enumerate(self._parts):
                    if t > 0:
                        seen[i], outcome = self._receive(i, t - 1)
                        outcomes.append(outcome)
                    if len(outcomes) == n_parts and not self._end_step(
                        buffer, outcomes, on_step, pause
                    ):
                        self._stop(seen, ahead=self._parts[:i])
                        return False
                    observations = buffer.observe(t, games, seen[i])
                    if self._states[i] is not None:
                        buffer.remember(t, games, self._states[i], self._reset_mask[games])
                    step, self._states[i] = self.act(observations, noise[t, games], self._states[i])
                    part.step_async(step["actions"].cpu().numpy())
                    if self.teacher is not None:
                        with pause():
                            step["teacher_logits"] = self._ask_teacher(i, observations)
                    buffer.record(games, step)
            outcomes = []
            for i, (_, games) in enumerate(self._parts):
                seen[i], outcome = self._receive(i, n_steps - 1)
                outcomes.append(outcome)
                # Its actions are not used: a GPU replays the pass it has recorded.
                after = torch.as_tensor(seen[i], device=self.policy.device)
                step, _ = self.act(after, noise[-1, games], self._states[i])
                last_values.append(step["value"])
            if not self._end_step(buffer, outcomes, on_step, pause):
                self._stop(seen, ahead=())
                return False
            self._scale_rewards(buffer)
            self._bootstrap_truncations(buffer)
        self._keep(seen)
        buffer.write_recorded()
        buffer.compute_returns_and_advantage(torch.cat(last_values), self.episode_starts)
        return True

    def _ask_teacher(self, i: int, observations: Tensor) -> Tensor:
        """Returns the teacher's logits, [n, A], for what a part shows.

        Args:
            i: Which part.
            observations: What the agent has just acted on, [n, C, H, W].
        """
        part, games = self._parts[i]
        # The second view is of the last step that was received, whatever has been sent since.
        seen = part.second_observations if isinstance(part, TwoViewVecEnv) else observations
        starts, lost_lives = self._game_starts[games], self._lost_lives[games]
        return self._teachers[i].attend(seen, starts, lost_lives).action_logits

    def _receive(self, i: int, t: int) -> tuple[np.ndarray, _Outcome]:
        """Waits for the emulators of a part, and empties the memory of games that ended.

        Args:
            i: Which part.
            t: The step they play.

        Returns:
            The next observations, [n, C, H, W], and what the step brought.
        """
        part, games = self._parts[i]
        observations, rewards, dones, infos = part.step_wait()
        assert isinstance(observations, np.ndarray)
        state, reset_mask = self._states[i], dones.copy()
        for k in np.flatnonzero(dones):
            if self.policy.settings.forget_at == "game" and infos[k].get("lost_life"):
                reset_mask[k] = False
            if infos[k].get("TimeLimit.truncated"):
                final = infos[k]["terminal_observation"]
                memory = None if state is None else tuple(part[k : k + 1] for part in state)
                self._truncations.append(_Truncation(t, games.start + k, final, memory))
        self._reset_mask[games] = reset_mask
        if self.teacher is not None:
            self._lost_lives[games] = ["lost_life" in info for info in infos]
            self._game_starts[games] = dones & ~self._lost_lives[games]
        if state is not None and reset_mask.any():
            mask = torch.from_numpy(reset_mask).to(self.policy.device)
            self._states[i] = forget(state, mask)
        return observations, _Outcome(rewards, dones, infos)

    def _end_step(
        self,
        buffer: AttentionRolloutBuffer,
        outcomes: list[_Outcome],
        on_step: OnStep,
        pause: Callable[[], AbstractContextManager[None]],
    ) -> bool:
        """Records what a step brought in all parts; returns whether the rollout goes on."""
        rewards = np.concatenate([part.rewards for part in outcomes])
        dones = np.concatenate([part.dones for part in outcomes])
        infos = [info for part in outcomes for info in part.infos]
        with pause():
            if not on_step(rewards, dones, infos):
                return False
        buffer.add_step(rewards, self.episode_starts)
        self.episode_starts = dones
        return True

    def _scale_rewards(self, buffer: AttentionRolloutBuffer) -> None:
        dones = torch.cat([buffer.episode_starts[1:], torch.from_numpy(self.episode_starts)[None]])
        buffer.rewards.copy_(self.reward_scale(buffer.rewards, dones))

    def _bootstrap_truncations(self, buffer: AttentionRolloutBuffer) -> None:
        """Adds the value of the last observation to the last reward of games that were cut off.

        A limit is no end of the game: the return goes on beyond it (Pardo et al., "Time limits in
        reinforcement learning", ICML 2018).
        """
        if not self._truncations:
            return
        steps, games, observations, states = zip(*self._truncations, strict=True)
        memory = None if states[0] is None else tuple(map(torch.cat, zip(*states, strict=True)))
        final = torch.as_tensor(np.stack(observations), device=self.policy.device)
        values = self.policy.attend(final, memory)[0].value.cpu()
        buffer.rewards[list(steps), list(games)] += self.gamma * values

    def _stop(self, seen: list[np.ndarray], ahead: Sequence[Part]) -> None:
        """Keeps the observations to go on from, once the parts a step ahead have answered."""
        for i, (part, _) in enumerate(ahead):
            seen[i] = part.step_wait()[0]  # type: ignore[assignment]
        self._keep(seen)

    def _keep(self, seen: list[np.ndarray]) -> None:
        self.observations = np.concatenate(seen) if len(seen) > 1 else seen[0]

    def _draw_noise(self, n_steps: int) -> Tensor:
        """Draws the Exp(1) noise of a rollout's actions, [T, N, A]; see `sample_with_noise`.

        Hard attention needs more, for its glimpses: [T, N, A + L]. Every rank draws the noise of
        all games and takes its share.
        """
        n_all = self.env.num_envs * self.ranks.count
        n_choices = self.policy.n_actions + self.policy.n_locations
        noise = torch.empty(n_steps, n_all, n_choices, device=self.policy.device)
        return noise.exponential_()[:, self.ranks.share(n_all, "games")]
