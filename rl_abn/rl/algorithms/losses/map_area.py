"""What keeps maps small, so that where they are high means something."""

from __future__ import annotations

from dataclasses import dataclass

from rl_abn.rl.algorithms.losses.auxiliary import AuxiliaryLoss, LossTerms, Objective, Weight
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True)
class MapArea(AuxiliaryLoss):
    """The maps' mean value, added as coef * mean(M): looking costs, wherever it is.

    Attributes:
        coef: Its weight.
    """

    coef: Weight

    def check(self, policy: AttentionPolicy) -> None:
        """Raises ValueError if the policy has no maps that gradients reach."""
        if not policy.settings.abilities.editable:
            raise ValueError(
                "expected a policy with maps for MapArea, "
                f"got mechanism '{policy.settings.mechanism}'"
            )

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the weighted area."""
        area = output.map.mean()
        return self.coef * area, {"map_area": area}
