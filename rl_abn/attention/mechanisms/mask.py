"""M · F: the mask of Mask-A3C."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.branch import AttentionBranch


class MaskAttention(AttentionBranch):
    """Lets through only what the map shows (Mask-A3C, Itaya et al., IJCNN 2021)."""

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns M · F, [B, C, h, w]; of unit mean it is M / mean(M) · F."""
        return self.multiply(features, self.strength(attention_map))
