"""T · H(F) + (1 - T) · F: the gate of highway networks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.featurewise import FeaturewiseMechanism


class HighwayGate(FeaturewiseMechanism):
    """Carries each feature on or transforms it (Srivastava et al., NeurIPS 2015, eq. 3).

    The map is the transform gate T, a weight for every feature; 1 - T, the carry gate, is the rest.

    Args:
        site: Where it attaches.
        kernel: Odd, of the two convolutions that make H and T.
        bias: Of T before its sigmoid at the start: below 0, features are carried on at first (the
            paper takes -1 to -4).

    Raises:
        ValueError: If the kernel is even.
    """

    def __init__(self, site: AttentionSite, *, kernel: int = 3, bias: float = -2.0) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel from 1, got {kernel}")
        channels, self.n_maps, self.bias = site.channels, site.n_maps, bias
        self.transform = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.gates = nn.Conv2d(channels, site.n_maps * channels, kernel, padding=kernel // 2)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the transform gates T, maps of [B, m, C, h * w]."""
        return no_answer(features, self.as_map(self.gates(features).sigmoid(), self.n_maps))

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 C places"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns T · H(F) + (1 - T) · F, [B, C, h, w]."""
        transformed: Tensor = self.transform(features).relu()
        return features + self.as_weights(attention_map, features) * (transformed - features)

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the layer of T: at first its bias decides."""
        return (self.gates,)

    def set_own_start(self) -> None:
        """Lets features be carried on at first."""
        assert self.gates.bias is not None
        with torch.no_grad():
            self.gates.bias.fill_(self.bias)
