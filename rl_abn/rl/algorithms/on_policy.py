"""What PPO and A2C share: settings, rollouts, gradients of the loss, and the optimizer's step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rl_abn.rl.algorithms.advantages import explained_variance
from rl_abn.rl.algorithms.collector import Collector
from rl_abn.rl.algorithms.losses import (
    AuxiliaryLoss,
    LossTerms,
    Objective,
    Weight,
    default_losses,
    update_weights,
    weight_now,
)
from rl_abn.rl.algorithms.minibatch_share import MinibatchShare
from rl_abn.rl.algorithms.minibatch_threads import MinibatchThreads
from rl_abn.rl.algorithms.reward_scale import RewardForm, RewardScale, reward_form
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer, RolloutSamples
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.seeded_vec_env import SeededVecEnv
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyState
from rl_abn.rl.policies.settings import PolicySettings
from rl_abn.rl.policies.trunk import check_pictures
from rl_abn.rl.training.distributed import Ranks
from rl_abn.seeds import derive_seeds


class AttentionOnPolicy(OnPolicyAlgorithm):
    """Trains an `AttentionPolicy`; mixed into SB3's PPO and A2C.

    The loss is the algorithm's own, on what the agent acts with, plus the auxiliary losses.

    Args:
        policy: `AttentionPolicy`, or a subclass.
        env: The games; rewards may be raw.
        auxiliary_losses: What is learned besides; None is what the policy's attention needs
            (`default_losses`).
        clip_reward: A `RewardForm`: learn from the rewards' "sign", from the rewards over the
            standard deviation of returns ("return_std": the policy keeps the returns' moments,
            `keeps_return_moments`), or from them as they are; True is "sign".
        branch_max_grad_norm: The attention mechanism's gradients are clipped to this norm apart
            from the others'; None clips all together.
        sequence_length: Steps of a game that an agent with memory learns from at once; None is the
            whole rollout for those and one step for others.
        teacher: An agent whose policy the rollouts record, for `TeacherDistillation`.
        reward_coef: Weight of the policy gradient and the entropy bonus; the critic's stays.
        ranks: The processes that train together; `env` has this one's games.
        kwargs: As in SB3.

    Raises:
        ValueError: If an auxiliary loss is about something the policy has not.
    """

    policy: AttentionPolicy
    rollout_buffer: AttentionRolloutBuffer
    auxiliary_losses: list[AuxiliaryLoss]
    normalize_advantage: bool
    teacher: AttentionPolicy | None = None
    reward_coef: Weight = 1.0
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"AttentionPolicy": AttentionPolicy}

    def __init__(
        self,
        policy: str | type[AttentionPolicy],
        env: Any,
        *,
        auxiliary_losses: Sequence[AuxiliaryLoss] | None = None,
        clip_reward: RewardForm | bool = "none",
        branch_max_grad_norm: float | None = None,
        sequence_length: int | None = None,
        teacher: AttentionPolicy | None = None,
        reward_coef: Weight = 1.0,
        ranks: Ranks | None = None,
        **kwargs: Any,
    ) -> None:
        self.ranks = ranks or Ranks()
        if auxiliary_losses is not None:
            self.auxiliary_losses = list(auxiliary_losses)
        if teacher is not None:
            self.teacher = teacher
        if reward_coef != 1.0:
            self.reward_coef = reward_coef
        self.clip_reward = reward_form(clip_reward)
        self.branch_max_grad_norm = branch_max_grad_norm
        self.sequence_length = sequence_length
        kwargs.setdefault("rollout_buffer_class", AttentionRolloutBuffer)
        super().__init__(policy, env, **kwargs)

    def objective(self, samples: RolloutSamples, *settings: Tensor) -> Objective:
        """Returns the algorithm's own loss on a minibatch.

        Args:
            samples: The minibatch.
            settings: What `accumulate_gradients` was given besides.
        """
        raise NotImplementedError

    def _setup_model(self) -> None:
        check_pictures(self.observation_space)  # the buffer is made before the policy
        if self.clip_reward == "return_std":
            self.policy_kwargs = {**self.policy_kwargs, "keeps_return_moments": True}
        if self.sequence_length is None:
            has_memory = PolicySettings.among(self.policy_kwargs).has_memory
            self.sequence_length = self.n_steps if has_memory else 1
        given = self.rollout_buffer_kwargs
        self.rollout_buffer_kwargs = {"sequence_length": self.sequence_length, **given}
        super()._setup_model()
        self.rollout_buffer_kwargs = given  # a zip says what SB3's own buffer takes
        self.rollout_buffer.hold_states(self.policy.initial_state(1))
        if not hasattr(self, "auxiliary_losses"):
            self.auxiliary_losses = default_losses(self.policy.settings)
        for loss in self.auxiliary_losses:
            loss.check(self.policy)
        compute = self.policy.compute
        self._act = compute.replay(self.act, self.device)
        # No graph is recorded of what waits for other ranks.
        waits = self.ranks.count > 1 and any(loss.spans_minibatch for loss in self.auxiliary_losses)
        self._gradients = self.gradients if waits else compute.replay(self.gradients, self.device)
        n_threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        self._threads = MinibatchThreads(n_threads, self.ranks) if n_threads > 1 else None
        self._collector: Collector | None = None

    def _excluded_save_params(self) -> list[str]:
        return [
            *super()._excluded_save_params(),
            "_act",
            "_gradients",
            "_threads",
            "_collector",
            "teacher",
        ]

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seeds everything random; of several ranks each gets its share of the games."""
        super().set_random_seed(seed)
        if seed is not None and self.ranks.count > 1:
            assert isinstance(self.env, SeededVecEnv | PartitionedVecEnv)
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
        if self.teacher is None:
            for loss in self.auxiliary_losses:
                if loss.needs_teacher:
                    raise ValueError(
                        f"expected a teacher for {type(loss).__name__}, got none; a zip leaves it "
                        "out: set model.teacher before learn()"
                    )
        starts_games = reset_num_timesteps or self._last_obs is None
        result = super()._setup_learn(
            total_timesteps, callback, reset_num_timesteps, *args, **kwargs
        )
        if starts_games:
            assert isinstance(self._last_obs, np.ndarray)
            self.restart(self._last_obs)
        return result

    def restart(self, observations: np.ndarray) -> None:
        """Goes on with new games, of which these are the first observations, [N, C, H, W]."""
        assert self.env is not None
        self._collector = Collector(
            self.env,
            self.policy,
            self._act,
            ranks=self.ranks,
            gamma=self.gamma,
            reward_scale=RewardScale(
                self.clip_reward, self.gamma, self.policy.return_moments, self.ranks
            ),
            teacher=self.teacher,
        )
        self._collector.start(observations)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Plays a rollout and computes its advantages and returns.

        Returns:
            Whether training goes on: False once a callback says stop.
        """
        assert isinstance(rollout_buffer, AttentionRolloutBuffer)
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        assert self._collector is not None

        def on_step(rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]) -> bool:
            self.num_timesteps += len(rewards) * self.ranks.count
            callback.update_locals({"rewards": rewards, "dones": dones, "infos": infos})
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            return True

        goes_on = self._collector.collect(rollout_buffer, on_step)
        self._last_obs = self._collector.observations
        self._last_episode_starts = self._collector.episode_starts
        if not goes_on:
            return False
        for loss in self.auxiliary_losses:
            loss.end_rollout(self.policy, rollout_buffer, self.ranks)
        callback.on_rollout_end()
        return True

    def act(
        self, observations: Tensor, noise: Tensor, state: PolicyState
    ) -> tuple[dict[str, Tensor], PolicyState]:
        """Chooses actions for observations.

        Args:
            observations: [n, C, H, W].
            noise: Exp(1), [n, A] for the actions; hard attention's glimpses use the rest of
                [n, A + L].
            state: The memory before.

        Returns:
            The actions and the policy's output, by name, and the memory after.
        """
        for_actions, for_glimpses = noise.tensor_split([self.policy.n_actions], dim=1)
        output, state = self.policy.attend(
            observations,
            state,
            glimpses=partial(distributions.sample_with_noise, noise=for_glimpses),
        )
        actions = distributions.sample_with_noise(output.action_logits, for_actions)
        return {"actions": actions, **output.recorded()}, state

    def accumulate_gradients(self, indices: Tensor | None, *settings: Tensor) -> dict[str, Tensor]:
        """Computes the gradients of the loss on some steps of the rollout.

        Args:
            indices: Numbers of the steps, int64 [B]; None takes all.
            settings: What else the algorithm's loss takes.

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
        rows = buffer.split(indices, self._threads.count)
        return self._threads.gradients(
            lambda own, share: self.loss(
                buffer.samples(indices[own], advantages[own])._replace(share=share), *settings
            ),
            [(len(own) / len(indices), own) for own in rows],
            list(self.policy.parameters()),
        )

    def gradients(
        self, indices: Tensor, advantages: Tensor, *settings: Tensor
    ) -> dict[str, Tensor]:
        """Does the same in one piece, with the advantages [B] to learn from."""
        samples = self.rollout_buffer.samples(indices, advantages)
        samples = samples._replace(share=MinibatchShare.of_rank(self.ranks))
        loss, terms = self.loss(samples, *settings)
        self.policy.optimizer.zero_grad(set_to_none=not self.policy.compute.replays(self.device))
        loss.backward()
        return {name: term.detach() for name, term in terms.items()}

    def loss(self, samples: RolloutSamples, *settings: Tensor) -> LossTerms:
        """Computes the algorithm's own loss plus the auxiliary losses on one minibatch.

        Returns:
            The loss, and its terms by the names they are logged under.
        """
        (loss, terms), *others = self.losses(samples, *settings)
        for weighted, named in others:
            loss = loss + weighted
            terms |= named
        return loss, {"loss": loss, **terms}

    def losses(self, samples: RolloutSamples, *settings: Tensor) -> list[LossTerms]:
        """Computes the losses that `loss` adds up: the algorithm's own, then the auxiliary ones."""
        output, _ = self.policy.attend(
            samples.observations,
            samples.state,
            reset_mask=samples.reset_mask,
            glimpses=samples.old.glimpse,
        )
        objective = self.objective(samples, *settings)
        own = objective.actor_critic(output.action_logits, output.value, samples.old.log_prob)
        return [
            own,
            *(loss(self.policy, output, samples, objective) for loss in self.auxiliary_losses),
        ]

    def step_optimizer(self) -> dict[str, Tensor]:
        """Takes one step down the gradients of all ranks, their norm clipped.

        Returns:
            The norm of the agent's gradients, and the share of them that clipping leaves.
        """
        self.ranks.average_gradients(self.policy.parameters())
        apart: list[nn.Parameter] = []
        terms = {}
        if self.branch_max_grad_norm and (apart := list(self.policy.mechanism.parameters())):
            norm = nn.utils.clip_grad_norm_(apart, self.branch_max_grad_norm)
            terms["branch_grad_norm"] = norm
        norm = nn.utils.clip_grad_norm_(self.policy.parameters_but(apart), self.max_grad_norm)
        terms |= {"grad_norm": norm, "grad_share_kept": (self.max_grad_norm / norm).clamp(max=1.0)}
        self.policy.optimizer.step()
        self._n_updates += 1
        return terms

    def trunk_gradients(self, count: int) -> dict[str, float]:
        """Computes how hard each loss pulls the layers before the attention, on one minibatch.

        Advantages are normalised over its steps where those of an update are.

        Args:
            count: Steps of this rank's rollout it is computed on, at most; with memory at least one
                sequence.

        Returns:
            Norms of the trunk's gradients: of the algorithm's own loss, "agent", and of the
            auxiliary losses together, "auxiliary", where there are any that reach the trunk.
        """
        buffer = self.rollout_buffer
        indices = buffer.spread(count)
        advantages = buffer.advantages.flatten()[indices]
        if self.normalize_advantage:
            advantages = Ranks().normalise(advantages)  # the first rank logs, and asks no other
        samples = buffer.samples(indices, advantages)
        own, *others = (loss for loss, _ in self.losses(samples, *self.objective_settings()))
        trunk = self.policy.features_extractor
        parameters = [parameter for parameter in trunk.parameters() if parameter.requires_grad]
        norms = {}
        for name, losses in (("agent", [own]), ("auxiliary", others)):
            total = sum(losses, torch.zeros((), device=self.device))
            if total.requires_grad and parameters:
                found = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
                squares = [gradient.square().sum() for gradient in found if gradient is not None]
                norms[name] = torch.stack(squares).sum().sqrt().item() if squares else 0.0
        return norms

    def weighed(self, samples: RolloutSamples) -> tuple[RolloutSamples, float | Tensor]:
        """Weighs what the policy learns from rewards: a policy gradient is linear in advantages.

        Returns:
            The samples with weighted advantages, and the weighted coefficient of the entropy.
        """
        if self.reward_coef == 1.0:
            return samples, self.ent_coef
        weight = weight_now(self.reward_coef)
        return samples._replace(advantages=weight * samples.advantages), weight * self.ent_coef

    def objective_settings(self) -> tuple[Tensor, ...]:
        """Returns what else the algorithm's loss takes now."""
        return ()

    def begin_update(self) -> None:
        """Sets the learning rates and the weights of the losses to those of now."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for group in self.policy.optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        for loss in self.auxiliary_losses:
            loss.begin_update(self._current_progress_remaining, self.device)
        update_weights([self.reward_coef], self._current_progress_remaining, self.device)

    def log_update(self, metrics: MeanMetrics) -> None:
        """Records the means of an update's loss terms and how well the values fitted."""
        buffer, old = self.rollout_buffer, self.rollout_buffer.old
        fit = {"explained_variance": explained_variance(old.value, buffer.returns)}
        if old.branch_value is not None:
            fit["branch_explained_variance"] = explained_variance(old.branch_value, buffer.returns)
        for name, mean in metrics.fetch(self.ranks, fit).items():
            self.logger.record(f"train/{name}", mean)
        if self.teacher is not None:
            self.logger.record("train/reward_coef", float(weight_now(self.reward_coef)))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")


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
