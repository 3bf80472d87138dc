"""From a recipe to games, a policy and an algorithm; from a checkpoint to a policy."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from rl_abn.compute.background_threads import in_background
from rl_abn.recipes import (
    A2C,
    PPO,
    AgentRecipe,
    LinearSchedule,
    Protocol,
    RunRecipe,
    schedule,
)
from rl_abn.rl.algorithms.a2c import AttentionA2C
from rl_abn.rl.algorithms.losses import (
    AuxiliaryLoss,
    BranchActorCritic,
    BranchDistillation,
    BranchOffPolicy,
    GlimpseLoss,
    MapArea,
    MapEntropy,
    MapInformation,
    ScheduledWeight,
    TeacherDistillation,
    Weight,
)
from rl_abn.rl.algorithms.ppo import AttentionPPO
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.make import (
    AnyProtocol,
    AnyVecEnv,
    action_names,
    make_vec_env,
    observation_space,
    protocols_of,
)
from rl_abn.rl.envs.seeded_vec_env import SeededVecEnv
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.settings import PolicySettings
from rl_abn.rl.training.distributed import Ranks
from rl_abn.runs import Checkpoint, Run

Model = AttentionPPO | AttentionA2C
BRANCH_LOSSES: dict[str, Callable[[Weight], AuxiliaryLoss]] = {
    "actor_critic": BranchActorCritic,
    "off_policy": BranchOffPolicy,
    "distillation": BranchDistillation,
}
TrainingEnv = SeededVecEnv | PartitionedVecEnv


def training_protocol(recipe: RunRecipe) -> AnyProtocol:
    """Returns the protocol a run trains under."""
    return protocols_of(recipe.env)[recipe.protocol_name]


def make_training_env(
    recipe: RunRecipe, ranks: Ranks | None = None, second_view: Protocol | None = None
) -> TrainingEnv:
    """Makes the games a run trains on: of several ranks, this one's share.

    Args:
        recipe: Of the run.
        ranks: The processes that train together.
        second_view: How a teacher sees them, where it sees them otherwise.

    Raises:
        RlAbnError: If the ranks do not divide the games.
    """
    ranks = ranks or Ranks()
    train, n_envs = recipe.agent.train, recipe.agent.algorithm.n_envs
    share = ranks.share(n_envs, "algorithm.n_envs")
    n_mine = share.stop - share.start
    # A run may go on with more ranks than it was begun with: fewer games each, maybe fewer parts.
    n_parts = 1 if train.env_parts == "auto" else math.gcd(train.env_parts, n_mine)
    # The ranks of a machine share its cores. Parts do not: whichever runs may have them all.
    n_threads = train.emulator_threads or max(1, (os.cpu_count() or 1) // ranks.local_count)

    def make_part() -> AnyVecEnv:
        n_games = n_mine // n_parts
        return make_vec_env(
            recipe.env,
            training_protocol(recipe),
            n_games,
            n_threads=min(n_threads, n_games),
            second_view=second_view,
        )

    if n_parts == 1:
        return make_part()
    # What acts in one part keeps all parts busy: it goes before their emulators.
    idle = train.emulator_priority == "idle"
    return PartitionedVecEnv([in_background(make_part, idle=idle) for _ in range(n_parts)])


def policy_settings(agent: AgentRecipe) -> PolicySettings:
    """Returns the policy's settings as a recipe has them.

    A precision of "auto" that no training resolved is fp32.
    """
    network, attention, train = agent.network, agent.attention, agent.train
    return PolicySettings(
        extractor=network.extractor,
        attention_at=network.attention_at,
        layer_norm=network.layer_norm,
        mechanism=attention.mechanism,
        mechanism_options=attention.options,
        maps=attention.maps,
        branch_answers=agent.states_evidence,
        memory=network.memory,
        memory_size=network.memory_size,
        forget_at=network.forget_at,
        map_learning_rate_factor=agent.algorithm.map_learning_rate_factor,
        keeps_return_moments=agent.algorithm.clip_reward == "return_std",
        precision="fp32" if train.precision == "auto" else train.precision,
        compiled=train.compile,
        graphs=train.graphs,
    )


def auxiliary_losses(agent: AgentRecipe, *, taught: bool = False) -> list[AuxiliaryLoss]:
    """Returns what an agent learns beside the algorithm's own loss, as its recipe has it.

    Args:
        agent: Its recipe.
        taught: Whether its teacher is there.
    """
    algorithm = agent.algorithm
    losses: list[AuxiliaryLoss] = []
    if agent.attention.abilities.samples:
        losses.append(GlimpseLoss(algorithm.glimpse_coef, algorithm.glimpse_ent_coef))
    if algorithm.branch_loss != "none":
        losses.append(BRANCH_LOSSES[algorithm.branch_loss](_weight(algorithm.branch_coef)))
    if taught and agent.teacher is not None:
        # A branch that copies the agent learns from the teacher through it.
        copies = algorithm.branch_loss in ("none", "distillation")
        losses.append(
            TeacherDistillation(
                _weight(agent.teacher.coef),
                agent.teacher.temperature,
                greedy=agent.teacher.target == "greedy",
                branch_coef=0.0 if copies else _weight(algorithm.branch_coef),
            )
        )
    if algorithm.map_area_coef != 0:
        losses.append(MapArea(_weight(algorithm.map_area_coef)))
    if algorithm.map_entropy_coef != 0:
        losses.append(MapEntropy(_weight(algorithm.map_entropy_coef)))
    if algorithm.map_information_coef != 0:
        losses.append(MapInformation(_weight(algorithm.map_information_coef)))
    return losses


def _weight(value: float | LinearSchedule) -> Weight:
    return ScheduledWeight(schedule(value)) if isinstance(value, LinearSchedule) else value


def make_model(
    recipe: RunRecipe,
    env: TrainingEnv,
    device: torch.device | str,
    ranks: Ranks | None = None,
    teacher: AttentionPolicy | None = None,
) -> Model:
    """Makes the algorithm of a recipe, untrained.

    Args:
        recipe: Of the run.
        env: Its games.
        device: Where the networks run.
        ranks: The processes that train together.
        teacher: Whom it learns from, on the device; without, a `[teacher]` is left aside.

    Raises:
        RlAbnError: If the ranks do not divide its minibatches.
    """
    algorithm = recipe.agent.algorithm
    ranks = ranks or Ranks()
    common: dict[str, Any] = {
        "n_steps": algorithm.n_steps,
        "learning_rate": schedule(algorithm.learning_rate),
        "gamma": algorithm.gamma,
        "gae_lambda": algorithm.gae_lambda,
        "ent_coef": algorithm.ent_coef,
        "vf_coef": algorithm.vf_coef,
        "max_grad_norm": algorithm.max_grad_norm,
        "clip_reward": algorithm.clip_reward,
        "branch_max_grad_norm": algorithm.branch_max_grad_norm or None,
        "auxiliary_losses": auxiliary_losses(recipe.agent, taught=teacher is not None),
        "normalize_advantage": algorithm.normalize_advantage,
        "seed": recipe.seed,
        "device": device,
        "ranks": ranks,
    }
    if teacher is not None and recipe.agent.teacher is not None:
        common["teacher"] = teacher
        common["reward_coef"] = _weight(recipe.agent.teacher.reward_coef)
    kwargs = policy_settings(recipe.agent).as_kwargs()
    if isinstance(algorithm, PPO):
        # In sequences: a rank learns from whole ones.
        n_sequences = algorithm.batch_size // algorithm.sequence_length
        ranks.share(n_sequences, "algorithm.batch_size / algorithm.sequence_length")
        # Fused: one pass over the weights instead of ten, on a CPU too.
        adam = {"eps": algorithm.adam_eps, "fused": True}
        return AttentionPPO(
            AttentionPolicy,
            env,
            batch_size=algorithm.batch_size // ranks.count,
            n_epochs=algorithm.n_epochs,
            sequence_length=algorithm.sequence_length,
            clip_range=schedule(algorithm.clip_range),
            target_kl=algorithm.target_kl or None,
            policy_kwargs={**kwargs, "optimizer_kwargs": adam},
            **common,
        )
    assert isinstance(algorithm, A2C)
    optimizer = {"alpha": 0.99, "eps": algorithm.rms_prop_eps}
    return AttentionA2C(
        AttentionPolicy,
        env,
        policy_kwargs={**kwargs, "optimizer_class": RMSpropTFLike, "optimizer_kwargs": optimizer},
        **common,
    )


def load_policy(run: Run, checkpoint: Checkpoint, device: torch.device) -> AttentionPolicy:
    """Makes the policy of a run and gives it a checkpoint's weights.

    Raises:
        RlAbnError: If the weights are damaged or not this agent's; it names the newest that are
            whole.
    """
    policy = make_policy(run.recipe, ortho_init=False)
    policy.load_state_dict(run.weights(checkpoint, policy.state_dict()))
    policy.set_training_mode(False)
    return policy.to(device)


class _NoOptimizer:
    """Of a policy that only acts: torch's optimizers load its compiler, which takes a second."""

    def __init__(self, parameters: Any, *, lr: float) -> None:
        pass


def make_policy(recipe: RunRecipe, *, ortho_init: bool = True) -> AttentionPolicy:
    """Makes the policy of a recipe on the CPU, untrained and without an optimizer.

    Args:
        recipe: Whose network, game and actions it has.
        ortho_init: Whether it begins as in a training; orthogonal weights take a tenth of a second.
    """
    protocol = training_protocol(recipe)
    return AttentionPolicy(
        observation_space(recipe.env, protocol),
        spaces.Discrete(len(action_names(recipe.env, protocol))),
        lambda _: 0.0,
        ortho_init=ortho_init,
        optimizer_class=_NoOptimizer,  # type: ignore[arg-type]
        **policy_settings(recipe.agent).as_kwargs(),
    )
