"""One weight a channel: squeeze-and-excitation."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.channel import ChannelMechanism


class SqueezeExcitation(ChannelMechanism):
    """Weights channels by what they contain on average (Hu et al., CVPR 2018, eq. 2 to 4).

    Average pooling squeezes the features to one number a channel; two 1x1 convolutions with a
    ReLU between them and a sigmoid turn these into the weights.

    Args:
        site: Where it attaches.
        reduction: r, by which the hidden layer has fewer channels than the features.

    Raises:
        ValueError: If the reduction is below 1.
    """

    def __init__(self, site: AttentionSite, *, reduction: int = 16) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"expected a reduction of 1 or more, got {reduction}")
        squeezed = max(site.channels // reduction, 1)
        self.n_maps = site.n_maps
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(site.channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, site.n_maps * site.channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the weights of the channels, maps of [B, m, C, 1]."""
        return self.attend(features)

    def attend(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Does what `forward` does; a trunk's layer, whose output is features, calls it."""
        weights: Tensor = self.layers(features)
        return no_answer(features, weights.view(len(features), self.n_maps, -1, 1))

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the last convolution: weights start close to 1/2."""
        return (self.layers[3],)
