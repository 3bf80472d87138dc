"""The ResNet generator: a picture in, a picture of the same size in the other domain out."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.recipes.translation import GeneratorTable

INIT_STD = 0.02
"""Deviation of the first weights, of generators and discriminators (Zhu et al., ICCV 2017)."""


class ResidualBlock(nn.Module):
    """f + two convolutions of f, padded by reflection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3), nn.ReLU(), *_convolution(channels, channels, 3)
        )

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """[B, C, H, W] -> the same shape."""
        residual: Tensor = self.layers(features)
        return features + residual


class Generator(nn.Sequential):
    """Halves a picture twice, goes through residual blocks, and doubles it twice.

    The network of Johnson et al. (ECCV 2016) as CycleGAN has it: instance normalisation without
    weights, reflection padding, tanh. Pictures are [B, 3, H, W] in -1..1; H and W are multiples
    of 4.

    Args:
        table: Width and depth.
    """

    def __init__(self, table: GeneratorTable) -> None:
        width = table.width
        layers: list[nn.Module] = [*_convolution(3, width, 7), nn.ReLU()]
        for n_in in (width, 2 * width):
            layers += [nn.Conv2d(n_in, 2 * n_in, 3, stride=2, padding=1)]
            layers += [nn.InstanceNorm2d(2 * n_in), nn.ReLU()]
        layers += [ResidualBlock(4 * width) for _ in range(table.blocks)]
        for n_in in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(n_in, n_in // 2, 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(n_in // 2),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        super().__init__(*layers)
        self.apply(init_weights)


def init_weights(module: nn.Module) -> None:
    """Draws a convolution's weights from N(0, 0.02²); its biases begin at 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, INIT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(n_in: int, n_out: int, kernel: int) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(n_in, n_out, kernel),
        nn.InstanceNorm2d(n_out),
    ]
