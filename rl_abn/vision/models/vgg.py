"""VGG networks with BatchNorm for small pictures."""

from __future__ import annotations

from torch import nn

from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import Backbone, he_init, pooled
from rl_abn.vision.models.resnet import conv_norm

WIDTHS = (3, 64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
N_BEFORE = 3


class Vgg(Backbone):
    """VGG with BatchNorm (Simonyan and Zisserman, ICLR 2015) and one fully connected layer.

    Five groups of 3x3 convolutions with max pooling after each. On 32x32 pictures the last group
    works on 2x2 places, which is no map. So attention attaches after the third group's
    convolutions, before their pooling, at a quarter of the picture's size (8x8), and the branch
    copies the two groups behind it without any pooling. Pictures are 32x32 or larger.

    Args:
        depth: 11, 13, 16 or 19: convolutions and the published three fully connected layers.

    Raises:
        RlAbnError: If there is no such depth.
    """

    def __init__(self, depth: int = 16) -> None:
        if depth not in CONVOLUTIONS:
            nearest = min(CONVOLUTIONS, key=lambda known: abs(known - depth))
            raise RlAbnError(
                f"expected a depth of {list(CONVOLUTIONS)} for Vgg, got {depth}: "
                f"the nearest is {nearest}"
            )
        self.counts = CONVOLUTIONS[depth]
        self.channels = WIDTHS[N_BEFORE]
        self.body_channels = self.features_dim = WIDTHS[-1]

    def extractor(self) -> nn.Module:
        """Builds three groups: [B, 3, H, W] -> [B, 256, H/4, W/4]."""
        first, *others = range(N_BEFORE)
        layers = self._group(first)
        for number in others:
            layers += [nn.MaxPool2d(2), *self._group(number)]
        return he_init(nn.Sequential(*layers))

    def branch_body(self) -> nn.Module:
        """Builds the last two groups without pooling: [B, 256, h, w] -> [B, 512, h, w]."""
        return he_init(nn.Sequential(*self._group(3), *self._group(4)))

    def perception(self) -> nn.Module:
        """Builds the last two groups and pooling: [B, 256, h, w] -> [B, 512]."""
        layers = [nn.MaxPool2d(2), *self._group(3), nn.MaxPool2d(2), *self._group(4)]
        return he_init(pooled(*layers, nn.MaxPool2d(2)))

    def _group(self, number: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        n_in, n_out = WIDTHS[number : number + 2]
        for _ in range(self.counts[number]):
            layers += [conv_norm(n_in, n_out, 3), nn.ReLU(inplace=True)]
            n_in = n_out
        return layers
