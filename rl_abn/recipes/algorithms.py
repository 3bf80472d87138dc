"""Settings of PPO and A2C."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rl_abn.recipes.table import (
    Count,
    NotNegative,
    Positive,
    ScheduledFloat,
    ScheduledWeight,
    Share,
    Table,
    check_divides,
    with_new_names,
)


def _reward_form(value: object) -> object:
    """Turns what older recipes say, true or false, into words."""
    return ("sign" if value else "none") if isinstance(value, bool) else value


RewardForm = Annotated[Literal["sign", "return_std", "none"], BeforeValidator(_reward_form)]


class OnPolicy(Table):
    """Settings that PPO and A2C have in common.

    Attributes:
        n_envs: Number of parallel games.
        n_steps: Steps of each game between two updates.
        learning_rate: Step size, or a schedule.
        gamma: Discount factor per step.
        gae_lambda: Trade-off between bias and variance of the advantages (Schulman et al. 2016).
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are clipped to this norm.
        clip_reward: What to learn from: the "sign" of the reward (Mnih et al. 2015), the reward
            over the standard deviation of returns, "return_std", or the reward as it is, "none".
            true and false are "sign" and "none".
        branch_loss: Loss of the attention branch's own policy and value: "actor_critic" (the
            agent's loss, with the branch's own old log-probabilities), "off_policy" (the agent's
            loss, corrected for the actions being the agent's), "distillation" (KL divergence and
            value error to the agent) or "none".
        branch_coef: Weight of the branch loss, or a schedule.
        branch_max_grad_norm: The attention mechanism's gradients are clipped to this norm, apart
            from the others'; 0 clips all together.
        map_area_coef: Weight of the maps' mean value in the loss, or a schedule.
        map_entropy_coef: Weight of the maps' normalised entropy in the loss, or a schedule: the
            higher, the fewer places a map is high at.
        map_information_coef: Weight of what the maps do not say of the moment, or a schedule: the
            higher, the more a map moves with what it sees.
        map_learning_rate_factor: Learning rate of the layers that make the maps, as a factor of
            `learning_rate`.
        glimpse_coef: Weight of the REINFORCE loss of hard attention's glimpse locations.
        glimpse_ent_coef: Weight of the entropy bonus of the glimpse locations.
    """

    n_envs: Annotated[int, Field(ge=1, le=4096)]
    n_steps: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: ScheduledFloat
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    ent_coef: NotNegative = 0.01
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    clip_reward: RewardForm = "sign"
    branch_loss: Literal["actor_critic", "off_policy", "distillation", "none"] = "actor_critic"
    branch_coef: ScheduledWeight = 1.0
    branch_max_grad_norm: NotNegative = 0.0
    map_area_coef: ScheduledWeight = 0.0
    map_entropy_coef: ScheduledWeight = 0.0
    map_information_coef: ScheduledWeight = 0.0
    map_learning_rate_factor: Positive = 1.0
    glimpse_coef: NotNegative = 1.0
    glimpse_ent_coef: NotNegative = 0.01

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, table: object) -> object:
        return with_new_names(
            table, {"place_coef": "glimpse_coef", "place_ent_coef": "glimpse_ent_coef"}
        )


class PPO(OnPolicy):
    """Proximal policy optimisation (Schulman et al. 2017).

    Attributes:
        batch_size: Samples per minibatch; must divide n_envs * n_steps.
        sequence_length: Steps through which an agent with memory backpropagates; must divide
            n_steps and batch_size. 1 without memory. A2C backpropagates through whole rollouts.
        n_epochs: Passes over each rollout.
        clip_range: Clipping range of the probability ratio, or a schedule.
        normalize_advantage: Whether each minibatch's advantages are normalised to mean 0 and
            standard deviation 1.
        target_kl: Stops an update's epochs early above 1.5 times this KL divergence; 0 is no limit.
        adam_eps: Epsilon of the Adam optimizer.
    """

    name: Literal["ppo"] = "ppo"
    batch_size: Count = 256
    sequence_length: Count = 1
    n_epochs: Count = 4
    clip_range: ScheduledFloat = 0.1
    normalize_advantage: bool = True
    target_kl: NotNegative = 0.0
    adam_eps: Positive = 1e-5

    @model_validator(mode="after")
    def _batches_fill_the_rollout(self) -> Self:
        rollout = self.n_envs * self.n_steps
        check_divides("batch_size", self.batch_size, "n_envs * n_steps", rollout)
        for field in ("n_steps", "batch_size"):
            check_divides("sequence_length", self.sequence_length, field, getattr(self, field))
        if self.normalize_advantage and self.batch_size == 1:
            raise ValueError("expected batch_size > 1 with normalize_advantage, got 1")
        return self


class A2C(OnPolicy):
    """Synchronous advantage actor-critic (Mnih et al. 2016).

    Attributes:
        rms_prop_eps: Epsilon of the RMSprop optimizer, inside the square root as in TensorFlow.
        normalize_advantage: Whether each update's advantages are normalised to mean 0 and standard
            deviation 1.
    """

    name: Literal["a2c"] = "a2c"
    gae_lambda: Share = 1.0
    vf_coef: NotNegative = 0.25
    normalize_advantage: bool = False
    rms_prop_eps: Positive = 1e-5
