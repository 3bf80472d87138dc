"""Schema of `[teacher]`: the agent that another one learns from, and how much."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from rl_abn.recipes.table import Label, Positive, ScheduledWeight, Table


def _is_checkpoint(value: object) -> object:
    """Lets "newest", "best" and steps pass.

    Raises:
        ValueError: For anything else.
    """
    is_step = type(value) is int and 0 <= value < 2**53
    if value not in ("newest", "best") and not is_step:
        raise ValueError(f"expected 'newest', 'best' or the step of a checkpoint, got {value!r}")
    return value


class TeacherTable(Table):
    """The agent that is learnt from: the loss gets coef * KL(teacher ‖ agent).

    Attributes:
        path: A run folder, the name of an agent that ships with the package, a zip of
            stable-baselines3, or weights published with Mask-Attention A3C. Empty in a recipe that
            leaves it to --teacher.
        agent: The agent recipe of a zip, whose file does not say; empty is "ppo_cnn" for SB3's own
            `CnnPolicy`. Runs know theirs.
        checkpoint: Which of a run's checkpoints: "newest", "best", or its step.
        coef: Weight of the KL divergence, or a schedule.
        target: "policy" learns the teacher's probabilities, "greedy" its most probable action.
        temperature: The teacher's logits are divided by it; below 1 its policy is sharper.
        reward_coef: Weight of the policy gradient and the entropy bonus, or a schedule. 0 is pure
            distillation: the policy learns from the teacher alone, the critic its own returns.
    """

    path: Label = ""
    agent: Label = ""
    checkpoint: Annotated[int | Literal["newest", "best"], BeforeValidator(_is_checkpoint)] = (
        "newest"
    )
    coef: ScheduledWeight = 1.0
    target: Literal["policy", "greedy"] = "policy"
    temperature: Positive = 1.0
    reward_coef: ScheduledWeight = 1.0
