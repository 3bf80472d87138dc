"""Weights of channels, then of locations: the convolutional block attention module."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.featurewise import FeaturewiseMechanism


class Cbam(FeaturewiseMechanism):
    """Weights channels and then locations (Woo et al., ECCV 2018, eq. 1 to 3).

    A channel's weight comes of its mean and its maximum over the locations, through one small
    network for both; a location's weight of the mean and the maximum over the weighted channels.
    The map is the product of the two, a weight for every feature.

    Args:
        site: Where it attaches.
        reduction: r, by which the hidden layer has fewer channels than the features.
        kernel: Odd, of the convolution that makes the weights of the locations.

    Raises:
        ValueError: If the reduction is below 1, or the kernel is even.
    """

    def __init__(self, site: AttentionSite, *, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"expected a reduction of 1 or more, got {reduction}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel from 1, got {kernel}")
        squeezed, m = max(site.channels // reduction, 1), site.n_maps
        self.n_maps = m
        self.of_channels = nn.Sequential(
            nn.Linear(site.channels, squeezed),
            nn.ReLU(),
            nn.Linear(squeezed, m * site.channels),
        )
        self.of_places = nn.Conv2d(2 * m, m, kernel, padding=kernel // 2, groups=m, bias=False)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes a weight for every feature, maps of [B, m, C, h * w]."""
        channels = self.of_channels(features.mean(dim=(2, 3)))
        channels = (channels + self.of_channels(features.amax(dim=(2, 3)))).sigmoid()
        by_channel = channels.unflatten(1, (self.n_maps, -1))[..., None, None]
        weighted = features[:, None] * by_channel
        pooled = torch.stack([weighted.mean(dim=2), weighted.amax(dim=2)], dim=2)
        places: Tensor = self.of_places(pooled.flatten(1, 2)).sigmoid()
        return no_answer(features, (by_channel * places[:, :, None]).flatten(3))

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 C places"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns the features times their weights, [B, C, h, w]."""
        return features * self.as_weights(attention_map, features)

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the last layer of each: weights start close to 1/2."""
        return (self.of_channels[2], self.of_places)
