"""F, unchanged: the no-attention baseline on the same trunk."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from rl_abn.attention.mechanism import (
    Abilities,
    Attention,
    AttentionSite,
    Mechanism,
    no_answer,
)


class NoAttention(Mechanism):
    """Makes no map and returns the features as they are."""

    abilities: ClassVar[Abilities] = Abilities(maps=None)

    def __init__(self, site: AttentionSite) -> None:
        super().__init__()

    def forward(self, features: Tensor) -> Attention:
        """Returns 0 maps, [B, 0, h, w], of features [B, C, h, w]."""
        return no_answer(features, features[:, :0])

    def gate(self, features: Tensor, attention_map: Tensor) -> Tensor:
        """Returns the features."""
        return features
