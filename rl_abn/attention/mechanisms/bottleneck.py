"""M · F + (1 - M) · mean(F): what is not looked at is hidden behind its mean."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.branch import AttentionBranch
from rl_abn.attention.map_scores import sums_to_one
from rl_abn.attention.mechanism import AttentionSite


class BottleneckAttention(AttentionBranch):
    """Shows features where the map is high, and elsewhere only what they are on average.

    The layers behind get values of the usual size everywhere, so that a place tells nothing by
    being dark, and what is worth knowing has to be looked at. The idea is Schulz et al.'s
    (Restricting the flow, ICLR 2020), with each channel's mean over the places for their noise.

    Args:
        site: Where it attaches.
        options: Those of `AttentionBranch`; there is no `unit_mean`, and no softmax: what is shown
            and what is hidden share out each place, not the picture.

    Raises:
        ValueError: If a count or an option is out of range.
    """

    def __init__(self, site: AttentionSite, **options: Any) -> None:
        super().__init__(site, **options)
        if self.unit_mean or sums_to_one(self.map_form):
            raise ValueError(
                "expected unit_mean = false and map_form = 'sigmoid' or 'standardised' for a "
                f"bottleneck, got {str(self.unit_mean).lower()} and '{self.map_form}'"
            )

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns M · F + (1 - M) · mean(F), [B, C, h, w]; the mean is each channel's own."""
        mean = features.mean(dim=(2, 3), keepdim=True)
        return mean + (features - mean) * attention_map.to(features.dtype)
