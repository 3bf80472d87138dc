"""(1 + M) · F: the attention branch network."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.branch import AttentionBranch


class ResidualAttention(AttentionBranch):
    """Amplifies the features where the map is high and never removes any (Fukui et al., eq. 2)."""

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns (1 + M) · F, [B, C, h, w]; of unit mean it is (1 + M) / mean(1 + M) · F."""
        strength = self.strength(attention_map)
        if self.unit_mean:
            return self.multiply(features, 1 + strength)
        return features + self.multiply(features, strength)
