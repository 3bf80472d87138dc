"""The PatchGAN discriminator: whether each patch of a picture is one of its domain."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from rl_abn.recipes.translation import DiscriminatorTable
from rl_abn.vision.translation.generator import init_weights

_SLOPE = 0.2
_WIDEST = 8  # times the first layer's width


class Discriminator(nn.Sequential):
    """Scores overlapping patches (Isola et al., CVPR 2017), 70 pixels a side with three layers.

    [B, 3, H, W] in -1..1 -> [B, 1, h, w]: 1 is a picture of the domain, 0 a translated one. There
    is no sigmoid, as the loss is of least squares.

    Args:
        table: Width and depth.
    """

    def __init__(self, table: DiscriminatorTable) -> None:
        widths = [table.width * min(2**i, _WIDEST) for i in range(table.layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(_SLOPE)]
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            stride = 1 if i == table.layers - 1 else 2
            layers += [nn.Conv2d(n_in, n_out, 4, stride=stride, padding=1)]
            layers += [nn.InstanceNorm2d(n_out), nn.LeakyReLU(_SLOPE)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(init_weights)
