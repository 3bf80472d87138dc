"""Schema of `[teacher]`: the agent that another one learns from, and how much."""

from __future__ import annotations

from typing import Literal

from rl_abn.recipes.other_agent import OtherAgentTable
from rl_abn.recipes.table import Positive, ScheduledWeight


class TeacherTable(OtherAgentTable):
    """The agent that is learnt from: the loss gets coef * KL(teacher ‖ agent).

    Attributes:
        coef: Weight of the KL divergence, or a schedule.
        target: "policy" learns the teacher's probabilities, "greedy" its most probable action.
        temperature: The teacher's logits are divided by it; below 1 its policy is sharper.
        reward_coef: Weight of the policy gradient and the entropy bonus, or a schedule. 0 is pure
            distillation: the policy learns from the teacher alone, the critic its own returns.
    """

    coef: ScheduledWeight = 1.0
    target: Literal["policy", "greedy"] = "policy"
    temperature: Positive = 1.0
    reward_coef: ScheduledWeight = 1.0
