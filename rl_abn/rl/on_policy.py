"""What PPO and A2C share here: collecting rollouts, and the losses' common terms."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.nn import functional as F

from rl_abn.rl import categorical
from rl_abn.rl.policy import AttentionPolicy, PolicyAttention, PolicyState
from rl_abn.rl.rollout import AttentionRolloutBuffer

BranchLoss = Literal["actor_critic", "distillation", "none"]


class AttentionOnPolicy(OnPolicyAlgorithm):
    """Collects rollouts with an `AttentionPolicy`; mixed into SB3's PPO and A2C.

    Args:
        policy: `AttentionPolicy`, or a subclass.
        env: The games; rewards may be raw.
        branch_loss: What teaches the branch its own answer.
        branch_coef: Weight of that loss.
        clip_reward: Whether to learn from the sign of the rewards (Mnih et al. 2015).
        kwargs: As in SB3.

    Raises:
        ValueError: If there is a branch loss and the policy's branch answers nothing.
    """

    policy: AttentionPolicy
    rollout_buffer: AttentionRolloutBuffer
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"AttentionPolicy": AttentionPolicy}

    def __init__(
        self,
        policy: str | type[AttentionPolicy],
        env: Any,
        *,
        branch_loss: BranchLoss = "actor_critic",
        branch_coef: float = 1.0,
        clip_reward: bool = False,
        **kwargs: Any,
    ) -> None:
        self.branch_loss: BranchLoss = branch_loss
        self.branch_coef = branch_coef
        self.clip_reward = clip_reward
        self._state: PolicyState = None
        kwargs.setdefault("rollout_buffer_class", AttentionRolloutBuffer)
        super().__init__(policy, env, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.branch_loss != "none" and not self.policy.branch_answers:
            raise ValueError(
                "expected branch_loss='none' for a policy whose branch answers nothing, "
                f"got '{self.branch_loss}'"
            )

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Plays `n_rollout_steps` steps in every game and keeps them in the buffer.

        Returns:
            Whether training goes on: False once a callback says stop.
        """
        assert isinstance(rollout_buffer, AttentionRolloutBuffer)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        assert isinstance(self._last_obs, np.ndarray)
        for _ in range(n_rollout_steps):
            observations = rollout_buffer.observe(self._last_obs)
            with torch.no_grad():
                attention, self._state = self.policy.attend(observations, self._state)
                actions = categorical.sample(attention.action_logits)
            new_obs, rewards, dones, infos = env.step(actions.cpu().numpy())
            self.num_timesteps += env.num_envs
            callback.update_locals({"rewards": rewards, "dones": dones, "infos": infos})
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            if self.clip_reward:
                rewards = np.sign(rewards)
            rewards = self._bootstrap_truncated(rewards, dones, infos)
            rollout_buffer.add_step(
                actions,
                torch.as_tensor(rewards, device=self.device),
                torch.as_tensor(self._last_episode_starts, device=self.device),
                attention,
            )
            assert isinstance(new_obs, np.ndarray)
            self._last_obs = new_obs
            self._last_episode_starts = dones
        with torch.no_grad():
            last, _ = self.policy.attend(
                torch.as_tensor(self._last_obs, device=self.device), self._state
            )
        rollout_buffer.compute_returns_and_advantage(last.value, dones)
        callback.on_rollout_end()
        return True

    def _bootstrap_truncated(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> np.ndarray:
        """Adds the value of what would have come to games that were cut off, not lost.

        Pardo et al., "Time limits in reinforcement learning", ICML 2018.
        """
        for i in np.flatnonzero(dones):
            if infos[i].get("TimeLimit.truncated"):
                final = torch.as_tensor(infos[i]["terminal_observation"][None], device=self.device)
                with torch.no_grad():
                    value = self.policy.attend(final)[0].value
                rewards = rewards.copy()
                rewards[i] += self.gamma * float(value)
        return rewards

    def log_update(self, metrics: MeanMetrics) -> None:
        """Records the means of an update's loss terms and how well the values fitted."""
        for name, mean in metrics.means().items():
            self.logger.record(f"train/{name}", mean)
        buffer = self.rollout_buffer
        fit = explained_variance(buffer.values, buffer.returns)
        self.logger.record("train/explained_variance", fit)
        if self.branch_loss != "none":
            fit = explained_variance(buffer.branch_values, buffer.returns)
            self.logger.record("train/branch_explained_variance", fit)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")


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
        log_prob=categorical.log_prob(action_logits, actions),
        entropy=categorical.entropy(action_logits).mean(),
        value_loss=F.mse_loss(value, returns),
    )


def distillation_loss(
    attention: PolicyAttention, vf_coef: float
) -> tuple[Tensor, dict[str, Tensor]]:
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

    def means(self) -> dict[str, float]:
        """Fetches all means at once."""
        if not self._sums:
            return {}
        values = torch.stack([self._sums[name].float() for name in self._sums]).tolist()
        return {
            name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)
        }


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """Returns 1 - Var[returns - values] / Var[returns]: 1 is perfect, 0 no better than a constant.

    NaN where the returns do not vary.
    """
    variance = returns.var()
    return float("nan") if variance == 0 else float(1 - (returns - values).var() / variance)
