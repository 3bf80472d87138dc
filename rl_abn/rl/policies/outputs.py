"""What a policy computes for a batch of observations, by field name from network to loss."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

PolicyState = tuple[Tensor, ...] | None
"""An agent's memory between two steps; None for agents without memory."""


class PolicyOutput(NamedTuple):
    """What a policy computes for a batch of observations, all in fp32.

    Attributes:
        action_logits: The acting (perception) branch's policy, [B, A].
        value: Its value, [B].
        map: The maps it acted on, [B, m, rows, columns], in 0..1; m is 0 for agents without
            attention, 1 for a shared map, 2 for a policy and a value map.
        evidence: What speaks for each action, and last for the value, at each location,
            [B, K, h, w]; K is 0 for a mechanism that gives no answer.
        branch_logits: The attention branch's own policy, [B, A], or None if it has none.
        branch_value: Its own value, [B], or None.
        glimpse_logits: Log-probabilities of the locations that hard attention samples from,
            [B, L], row by row; None for other mechanisms.
        glimpse: The location it looked at, int64 [B], or None.
    """

    action_logits: Tensor
    value: Tensor
    map: Tensor
    evidence: Tensor
    branch_logits: Tensor | None = None
    branch_value: Tensor | None = None
    glimpse_logits: Tensor | None = None
    glimpse: Tensor | None = None

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the features that the maps were made of."""
        height, width = self.evidence.shape[-2:]
        return height, width

    def recorded(self) -> dict[str, Tensor]:
        """Returns what a rollout keeps, by name: all but the maps, which an update makes anew."""
        return {
            name: tensor
            for name, tensor in self._asdict().items()
            if tensor is not None and name not in ("map", "evidence")
        }
