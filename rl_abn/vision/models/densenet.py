"""Densely connected networks for small pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import Backbone, he_init, pooled
from rl_abn.vision.models.resnet import blocks_a_stage


class DenseLayer(nn.Module):
    """Adds `growth` channels to those it is given: 1x1 to four times as many, then 3x3."""

    def __init__(self, n_in: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(n_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_in, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C + growth, h, w]."""
        return torch.cat([inputs, self.layers(inputs)], dim=1)


class DenseNet(Backbone):
    """DenseNet-BC for CIFAR (Huang et al., CVPR 2017): bottlenecks, compression by half.

    Three dense blocks; the branch copies the third, after the second transition: the map is a
    quarter of the picture's size, 8x8 for 32x32, as published (Fukui et al., CVPR 2019).

    Args:
        depth: 6n + 4, with n layers of two convolutions a block.
        growth: Channels each layer adds.

    Raises:
        RlAbnError: If there is no such depth, or the growth is below 1.
    """

    def __init__(self, depth: int = 100, growth: int = 12) -> None:
        self.n_layers = blocks_a_stage("DenseNet", depth, a_block=6, others=4)
        if growth < 1:
            raise RlAbnError(f"expected a growth of 1 or more, got {growth}")
        self.growth = growth
        self.channels = 2 * growth
        for _ in range(2):
            self.channels = (self.channels + self.n_layers * growth) // 2
        self.body_channels = self.features_dim = self.channels + self.n_layers * growth

    def extractor(self) -> nn.Module:
        """Builds all before the third block: [B, 3, H, W] -> [B, C, H/4, W/4]."""
        channels = 2 * self.growth
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
        for _ in range(2):
            layers.append(self._block(channels))
            channels += self.n_layers * self.growth
            layers.append(_transition(channels, channels // 2))
            channels //= 2
        return he_init(nn.Sequential(*layers))

    def branch_body(self) -> nn.Module:
        """Builds a copy of the third block: [B, C, h, w] -> [B, body_channels, h, w]."""
        return he_init(self._block(self.channels))

    def perception(self) -> nn.Module:
        """Builds the third block and what pools it: [B, C, h, w] -> [B, features_dim]."""
        after = (nn.BatchNorm2d(self.features_dim), nn.ReLU(inplace=True))
        return he_init(pooled(self._block(self.channels), *after))

    def _block(self, channels: int) -> nn.Sequential:
        growth = self.growth
        return nn.Sequential(
            *(DenseLayer(channels + i * growth, growth) for i in range(self.n_layers))
        )


def _transition(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(n_in),
        nn.ReLU(inplace=True),
        nn.Conv2d(n_in, n_out, 1, bias=False),
        nn.AvgPool2d(2),
    )
