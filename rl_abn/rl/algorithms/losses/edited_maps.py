"""The loss that draws an agent's maps to edited ones (Mitsuhara et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from rl_abn.attention import map_loss
from rl_abn.rl.algorithms.losses.auxiliary import AuxiliaryLoss, LossTerms, Objective
from rl_abn.rl.algorithms.rollout_buffer import RolloutSamples
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput


@dataclass(frozen=True, eq=False)
class EditedMaps(AuxiliaryLoss):
    """coef * ||M' - M||_2 at a few fixed observations, whatever the minibatch is.

    Threads share the observations out among them, as they do the minibatch.

    Attributes:
        observations: E observations, [E, C, H, W].
        maps: The maps M' the agent is to have there, [E, m, h, w], in 0..1.
        coef: gamma, the weight of the loss, [].
    """

    observations: Tensor
    maps: Tensor
    coef: Float[Tensor, ""]

    def distance(self, policy: AttentionPolicy) -> Float[Tensor, ""]:
        """Computes the mean distance of the agent's maps to the edited ones."""
        output, _ = policy.attend(self.observations)
        which = torch.ones(len(self.maps), dtype=torch.bool, device=self.maps.device)
        return map_loss(output.map, self.maps, which)

    def __call__(
        self,
        policy: AttentionPolicy,
        output: PolicyOutput,
        samples: RolloutSamples,
        objective: Objective,
    ) -> LossTerms:
        """Computes the weighted distance, whose mean over the shares is that of all edits."""
        share, n_edits = samples.share, len(self.maps)
        if share.count == 1:
            distance = self.distance(policy)
        else:
            mine = slice(share.index, None, share.count)
            own = replace(self, observations=self.observations[mine], maps=self.maps[mine])
            part = len(own.maps) / (n_edits * share.weight)
            distance = part * own.distance(policy) if part else torch.zeros_like(self.coef)
        return self.coef * distance, {"map_loss": distance}

    def to(self, device: torch.device) -> EditedMaps:
        """Returns the same on a device."""
        return EditedMaps(self.observations.to(device), self.maps.to(device), self.coef.to(device))
