"""Whether a rollout and an update compute the same: on a GPU, in any precision, as graphs.

Before the first update the weights are those the rollout was played with. So the ratio of an
action's probability now to its probability then is 1, to the rounding of the precision (Schulman
et al. 2017); where it is not, the agent learns from steps of another agent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rl_abn.compute.device import device_of
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.auto_settings import resolve_auto
from rl_abn.rl.training.build import Model, make_model, make_training_env

TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}
"""How far rounding alone takes the ratio from 1."""


class Agreement(NamedTuple):
    """How far an agent's ratios are from 1 on the first minibatch.

    Attributes:
        agent: The recipe's name.
        device: Where it ran.
        precision: "fp32" or "bf16".
        deviation: The largest |ratio - 1|, by policy: "log_prob" is the agent's own,
            "branch_log_prob" its branch's, "glimpse_log_prob" that of where it looks.
        mixed_up: The same for the agent's own policy where each step has the next one's
            observation: what a mistake would look like.
    """

    agent: str
    device: str
    precision: str
    deviation: dict[str, float]
    mixed_up: float

    @property
    def agrees(self) -> bool:
        """Whether all ratios are 1 to rounding, and a mistake would be farther away."""
        tolerance = min(TOLERANCE[self.precision], self.mixed_up / 4)
        return max(self.deviation.values()) <= tolerance


def measure_agreement(
    agent: str, device: str, env: str = "space_invaders", settings: tuple[str, ...] = ()
) -> Agreement:
    """Plays one rollout and computes the ratios of the first minibatch of the update after it.

    The policy is untrained and far from even, so that another observation is another policy.

    Args:
        agent: Name or path of the agent's recipe.
        device: Where the networks run.
        env: Name or path of the env recipe.
        settings: Overrides of both.

    Raises:
        RlAbnError: If a recipe, a setting or the device is wrong.
    """
    where = device_of(device)
    recipe = resolve_auto(make_run_recipe(env, agent, 0, settings), where)
    games = make_training_env(recipe)
    try:
        model = make_model(recipe, games, where)
        weight = model.policy.action_net.weight
        assert isinstance(weight, Tensor)
        torch.nn.init.normal_(weight, std=0.3)
        samples = _first_minibatch(model)
        deviation = _deviations(model, samples)
        mixed_up = samples._replace(observations=samples.observations.roll(1, dims=0))
        return Agreement(
            agent=recipe.agent_name,
            device=str(model.device),
            precision=model.policy.compute.precision,
            deviation=deviation,
            mixed_up=_deviations(model, mixed_up)["log_prob"],
        )
    finally:
        games.close()


def _first_minibatch(model: Model) -> RolloutSamples:
    model._setup_learn(model.n_steps * model.n_envs)
    assert model._collector is not None
    model.policy.set_training_mode(False)
    model._collector.collect(model.rollout_buffer, lambda *_: True)
    buffer = model.rollout_buffer
    batch_size = getattr(model, "batch_size", None)  # A2C learns from all steps at once
    model.policy.set_training_mode(True)
    return buffer.samples(None if batch_size is None else next(buffer.shuffled(batch_size)))


def _deviations(model: Model, samples: RolloutSamples) -> dict[str, float]:
    """Returns the largest |ratio - 1| of every policy, computed as an update does."""
    output, _ = model.policy.attend(
        samples.observations,
        samples.state,
        reset_mask=samples.reset_mask,
        glimpses=samples.old.glimpse,
    )
    now = _log_probs(output, samples)
    then = samples.old._asdict()
    return {name: ((now[name] - then[name]).exp() - 1).abs().max().item() for name in now}


def _log_probs(output: PolicyOutput, samples: RolloutSamples) -> dict[str, Tensor]:
    found = {"log_prob": distributions.log_prob(output.action_logits, samples.actions)}
    if output.branch_logits is not None:
        branch = distributions.log_prob(output.branch_logits, samples.actions)
        found["branch_log_prob"] = branch
    if output.glimpse_logits is not None and samples.old.glimpse is not None:
        where = distributions.log_prob(output.glimpse_logits, samples.old.glimpse)
        found["glimpse_log_prob"] = where
    return found
