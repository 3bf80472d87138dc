"""What PPO and A2C share here: collecting rollouts, and the way to an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rl_abn.compute.compute import Pause
from rl_abn.networks import forget
from rl_abn.rl.algorithms.minibatch_threads import LossTerms, MinibatchThreads
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer, RolloutSamples, Thought
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.envs.env_parts import Part, PartitionedVecEnv, env_parts_of
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy, PolicyState
from rl_abn.rl.training.distributed import Ranks
from rl_abn.rl.training.edited_maps import EditedMaps
from rl_abn.seeds import derive_seeds

BranchLoss = Literal["actor_critic", "distillation", "none"]

BASELINE_RATE = 0.1
"""How fast hard attention's baseline moves (Xu et al., ICML 2015, section 4.1)."""


class AttentionOnPolicy(OnPolicyAlgorithm):
    """Collects rollouts with an `AttentionPolicy`; mixed into SB3's PPO and A2C.

    Args:
        policy: `AttentionPolicy`, or a subclass.
        env: The games; rewards may be raw.
        branch_loss: What teaches the branch its own answer.
        branch_coef: Weight of that loss.
        glimpse_coef: Weight of the loss that teaches hard attention where to look.
        glimpse_ent_coef: Weight of the entropy bonus of its places.
        clip_reward: Whether to learn from the sign of the rewards (Mnih et al. 2015).
        sequence_length: Steps that an agent with memory learns from in one go, from what it
            remembered before them; None is the whole rollout for those and one step for others.
        ranks: The processes that train together; `env` has this one's games.
        kwargs: As in SB3.

    Raises:
        ValueError: If there is a branch loss and the policy's branch answers nothing.
    """

    policy: AttentionPolicy
    rollout_buffer: AttentionRolloutBuffer
    loss: Callable[..., LossTerms]
    normalize_advantage: bool
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"AttentionPolicy": AttentionPolicy}

    def __init__(
        self,
        policy: str | type[AttentionPolicy],
        env: Any,
        *,
        branch_loss: BranchLoss = "actor_critic",
        branch_coef: float = 1.0,
        glimpse_coef: float = 1.0,
        glimpse_ent_coef: float = 0.01,
        clip_reward: bool = False,
        sequence_length: int | None = None,
        ranks: Ranks | None = None,
        **kwargs: Any,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.branch_loss: BranchLoss = branch_loss
        self.branch_coef = branch_coef
        self.glimpse_coef = glimpse_coef
        self.glimpse_ent_coef = glimpse_ent_coef
        self.clip_reward = clip_reward
        self.sequence_length = sequence_length
        self.edited: EditedMaps | None = None
        self._states: list[PolicyState] = []
        kwargs.setdefault("rollout_buffer_class", AttentionRolloutBuffer)
        super().__init__(policy, env, **kwargs)

    def _setup_model(self) -> None:
        if self.sequence_length is None:
            has_memory = self.policy_kwargs.get("memory", "none") != "none"
            self.sequence_length = self.n_steps if has_memory else 1
        given = self.rollout_buffer_kwargs
        self.rollout_buffer_kwargs = {"sequence_length": self.sequence_length, **given}
        super()._setup_model()
        self.rollout_buffer_kwargs = given  # a zip says what SB3's own buffer takes
        self.rollout_buffer.hold_states(self.policy.initial_state(1))
        if self.branch_loss != "none" and not self.policy.branch_answers:
            raise ValueError(
                "expected branch_loss='none' for a policy whose branch answers nothing, "
                f"got '{self.branch_loss}'"
            )
        compute = self.policy.compute
        self._act = compute.replay(self.act, self.device)
        self._gradients = compute.replay(self.gradients, self.device)
        n_threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        self._threads = MinibatchThreads(n_threads) if n_threads > 1 else None

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_act", "_gradients", "_threads", "edited"]

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seeds everything random; of several ranks each gets its share of the games."""
        super().set_random_seed(seed)
        if seed is not None and self.ranks.count > 1:
            assert isinstance(self.env, AleVecEnv | PartitionedVecEnv)
            n_all = self.env.num_envs * self.ranks.count
            seeds = derive_seeds(seed, count=n_all)
            self.env.seed_games(seeds[self.ranks.share(n_all, "games")])

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[int, BaseCallback]:
        if reset_num_timesteps:
            self._states = []  # the games begin anew
        return super()._setup_learn(total_timesteps, callback, reset_num_timesteps, *args, **kwargs)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Plays `n_rollout_steps` steps in every game and keeps them in the buffer.

        Where the games come in several parts, the agent acts in one part while the emulators of
        the others run.

        Returns:
            Whether training goes on: False once a callback says stop.
        """
        assert isinstance(rollout_buffer, AttentionRolloutBuffer)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        parts = env_parts_of(env)
        assert isinstance(self._last_obs, np.ndarray)
        seen = [self._last_obs[games] for _, games in parts]
        if len(self._states) != len(parts):
            self._states = [self.policy.initial_state(part.num_envs) for part, _ in parts]
        reset_mask = np.zeros(env.num_envs, dtype=bool)
        noise = self._draw_noise(n_rollout_steps, env.num_envs)
        last_values: list[Tensor] = []
        n_together = max(part.num_envs for part, _ in parts)
        with self.policy.compute.acting(self.device, n_together, self.policy) as pause:
            for t in range(n_rollout_steps + 1):
                arrived: list[Arrived] = []
                for i, (part, games) in enumerate(parts):
                    if t > 0:
                        seen[i], *outcome = part.step_wait()  # type: ignore[assignment]
                        arrived.append(self._arrive(outcome, self._states[i]))
                        reset_mask[games] = arrived[-1].reset_mask
                        self._states[i] = self._forget(self._states[i], reset_mask[games])
                    if len(arrived) == len(parts) and not self._end_step(callback, arrived, pause):
                        ahead = parts[:i] if t < n_rollout_steps else []
                        self._stop_at(seen, ahead)
                        return False
                    if t < n_rollout_steps:
                        observations = rollout_buffer.observe(t, games, seen[i])
                        if self._states[i] is not None:
                            rollout_buffer.remember(t, games, self._states[i], reset_mask[games])
                        thought, self._states[i] = self._act(
                            observations, noise[t, games], self._states[i]
                        )
                        part.step_async(thought.actions.cpu().numpy())
                        rollout_buffer.think(games, thought)
                    else:
                        after = torch.as_tensor(seen[i], device=self.device)
                        thought, _ = self._act(after, noise[-1, games], self._states[i])
                        last_values.append(thought.values)
        self._last_obs = np.concatenate(seen) if len(seen) > 1 else seen[0]
        assert self._last_episode_starts is not None
        rollout_buffer.write_thoughts()
        rollout_buffer.compute_returns_and_advantage(
            torch.cat(last_values), self._last_episode_starts
        )
        self._move_baseline()
        callback.on_rollout_end()
        return True

    def _arrive(self, outcome: Sequence[Any], state: PolicyState) -> Arrived:
        """Reads what came of a step in one part: rewards, dones and infos.

        A game that was cut off, not lost, is worth what would have come (Pardo et al., "Time
        limits in reinforcement learning", ICML 2018).

        Args:
            outcome: The three.
            state: What the agent remembers after that step.
        """
        rewards, dones, infos = outcome
        reset_mask = dones.copy()
        truncation_bootstrap = np.zeros(len(dones), dtype=np.float32)
        for i in np.flatnonzero(dones):
            if self.policy.forget_at == "game" and infos[i].get("lost_life"):
                reset_mask[i] = False
            if infos[i].get("TimeLimit.truncated"):
                final = torch.as_tensor(infos[i]["terminal_observation"][None], device=self.device)
                mine = None if state is None else tuple(part[i : i + 1] for part in state)
                truncation_bootstrap[i] = float(self.policy.attend(final, mine)[0].value)
        return Arrived(rewards, dones, infos, reset_mask, truncation_bootstrap)

    def _forget(self, state: PolicyState, reset_mask: np.ndarray) -> PolicyState:
        """Empties the memory of games that begin anew, [n]."""
        if state is None or not reset_mask.any():
            return state
        return forget(state, torch.from_numpy(reset_mask).to(self.device))

    def _end_step(
        self,
        callback: BaseCallback,
        arrived: list[Arrived],
        pause: Callable[[], Pause],
    ) -> bool:
        """Keeps what came of a step in all parts; returns whether training goes on."""
        rewards = np.concatenate([part.rewards for part in arrived])
        dones = np.concatenate([part.dones for part in arrived])
        infos = [info for part in arrived for info in part.infos]
        self.num_timesteps += len(rewards) * self.ranks.count
        callback.update_locals({"rewards": rewards, "dones": dones, "infos": infos})
        with pause():
            goes_on = callback.on_step()
        if not goes_on:
            return False
        self._update_info_buffer(infos, dones)
        if self.clip_reward:
            rewards = np.sign(rewards)
        rewards = rewards + self.gamma * np.concatenate(
            [part.truncation_bootstrap for part in arrived]
        )
        assert self._last_episode_starts is not None
        self.rollout_buffer.add_step(rewards, self._last_episode_starts)
        self._last_episode_starts = dones
        return True

    def _stop_at(self, seen: list[np.ndarray], ahead: Sequence[Part]) -> None:
        """Keeps the observations to go on from, once the parts a step ahead have arrived."""
        for i, (part, _) in enumerate(ahead):
            seen[i] = part.step_wait()[0]  # type: ignore[assignment]
        self._last_obs = np.concatenate(seen)

    def _move_baseline(self) -> None:
        """Moves hard attention's baseline a tenth of the way to the rollout's mean return."""
        if self.policy.mechanism == "hard":
            brought = self.ranks.mean_(self.rollout_buffer.returns.mean())
            self.policy.place_baseline.lerp_(brought, BASELINE_RATE)

    def _draw_noise(self, n_steps: int, n_envs: int) -> Tensor:
        """Draws the Exp(1) noise of a rollout's actions, [T, N, A]: `sample_with_noise` uses it.

        Hard attention needs more, for its glimpses: [T, N, A + L]. Every rank draws that of all and
        takes its share.
        """
        n_all = n_envs * self.ranks.count
        n_choices = self.policy.n_actions + self.policy.n_locations
        noise = torch.empty(n_steps, n_all, n_choices, device=self.device)
        return noise.exponential_()[:, self.ranks.share(n_all, "games")]

    def act(
        self, observations: Tensor, noise: Tensor, state: PolicyState
    ) -> tuple[Thought, PolicyState]:
        """Looks at observations, [n, C, H, W], and draws actions by noise [n, A].

        Hard attention's places are drawn by the rest of the noise, [n, A + L].
        """
        of_actions, of_places = noise.tensor_split([self.policy.n_actions], dim=1)
        attention, state = self.policy.attend(
            observations, state, glimpses=partial(distributions.sample_with_noise, noise=of_places)
        )
        return Thought.of(
            attention, distributions.sample_with_noise(attention.action_logits, of_actions)
        ), state

    def restart(self, observations: np.ndarray) -> None:
        """Goes on with new games, of which these are the first observations."""
        self._last_obs = observations
        self._last_episode_starts = np.ones(len(observations), dtype=bool)
        self._states = []

    def accumulate(self, indices: Tensor | None, *settings: Tensor) -> dict[str, Tensor]:
        """Puts the gradients of the loss on some steps of the rollout into the parameters.

        Args:
            indices: Numbers of the steps, int64 [B]; None takes all.
            settings: What else the loss takes.

        Returns:
            The loss's terms by the names they are logged under.
        """
        buffer = self.rollout_buffer
        if indices is None:
            indices = buffer.everything()
        advantages = buffer.advantages.flatten()[indices]
        if self.normalize_advantage:
            advantages = self.ranks.normalise(advantages)
        if self._threads is None:
            return self._gradients(indices, advantages, *settings)
        places = buffer.split(indices, self._threads.count)
        return self._threads.gradients(
            lambda mine: self.objective(buffer.samples(indices[mine], advantages[mine]), *settings),
            [(len(mine) / len(indices), mine) for mine in places],
            list(self.policy.parameters()),
        )

    def gradients(
        self, indices: Tensor, advantages: Tensor, *settings: Tensor
    ) -> dict[str, Tensor]:
        """Does the same in one piece, with the advantages [B] to learn from."""
        samples = self.rollout_buffer.samples(indices, advantages)
        loss, terms = self.objective(samples, *settings)
        self.policy.optimizer.zero_grad(set_to_none=not self.policy.compute.replays(self.device))
        loss.backward()
        return {name: term.detach() for name, term in terms.items()}

    def glimpse_advantages(self, samples: RolloutSamples) -> Tensor:
        """Returns what hard attention's places are judged by, [B]: returns less a moving baseline.

        The critic is no baseline for them: it has seen what the place showed, and expects the
        better of a better place. One that depends on the draw would teach nothing.
        """
        return samples.returns - self.policy.place_baseline

    def objective(self, samples: RolloutSamples, *settings: Tensor) -> LossTerms:
        """Computes the algorithm's loss and, where maps were edited, what draws the agent's there.

        Returns:
            The loss, and its terms by the names they are logged under.
        """
        loss, terms = self.loss(samples, *settings)
        if self.edited is None:
            return loss, terms
        pull, distance = self.edited.loss(self.policy)
        return loss + pull, {**terms, "loss": loss + pull, "map_loss": distance}

    def descend(self) -> None:
        """Takes one step down the gradients of all ranks, their norm clipped."""
        self.ranks.average_gradients(self.policy.parameters())
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1

    def log_update(self, metrics: MeanMetrics) -> None:
        """Records the means of an update's loss terms and how well the values fitted."""
        buffer = self.rollout_buffer
        fit = {"explained_variance": explained_variance(buffer.values, buffer.returns)}
        if self.branch_loss != "none":
            fit["branch_explained_variance"] = explained_variance(
                buffer.branch_values, buffer.returns
            )
        for name, mean in metrics.fetch(self.ranks, fit).items():
            self.logger.record(f"train/{name}", mean)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")


class Arrived(NamedTuple):
    """What came of a step in n games.

    Attributes:
        rewards: Raw, [n].
        dones: Whether an episode ended, [n].
        infos: Of each game.
        reset_mask: Whose memory is emptied, bool [n].
        truncation_bootstrap: Value of the last observation of games cut off by a limit, [n]; 0 in
            others.
    """

    rewards: np.ndarray
    dones: np.ndarray
    infos: list[dict[str, Any]]
    reset_mask: np.ndarray
    truncation_bootstrap: np.ndarray


class MeanMetrics:
    """Means of scalars over an update, left on the device until they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, **scalars: Tensor) -> None:
        """Adds one minibatch's scalars."""
        for name, scalar in scalars.items():
            value = scalar.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def fetch(self, ranks: Ranks, others: Mapping[str, Tensor]) -> dict[str, float]:
        """Fetches all means, and other scalars, over all ranks in one transfer from the device."""
        scalars = {name: total / self._counts[name] for name, total in self._sums.items()}
        scalars.update(others)
        values = torch.stack([scalar.float() for scalar in scalars.values()])
        return dict(zip(scalars, ranks.mean_(values).tolist(), strict=True))


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """Returns 1 - Var[returns - values] / Var[returns]: 1 is perfect, 0 no better than a constant.

    NaN where the returns do not vary.
    """
    variance = returns.var()
    fit = 1 - (returns - values).var() / variance
    return torch.where(variance == 0, torch.nan, fit)
