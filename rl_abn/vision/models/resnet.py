"""Residual networks for small pictures, with and without squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from rl_abn.attention import AttentionSite, SqueezeExcitation
from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import Backbone, he_init, pooled

MakeBlock = Callable[[int, int, int], nn.Module]


def conv_norm(
    n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Builds a convolution that keeps the size at stride 1, and its BatchNorm."""
    convolution = nn.Conv2d(
        n_in, n_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out))


class SqueezeExcitationLayer(SqueezeExcitation):
    """Squeeze-and-excitation inside a trunk: features in, features with weighted channels out."""

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """[B, C, h, w] -> the same shape."""
        return self.gate(features, self.attend(features).map)


class ResidualBlock(nn.Module):
    """Layers around a shortcut, and a ReLU; the shortcut is a 1x1 convolution where it has to be.

    Args:
        layers: [B, n_in, h, w] -> [B, n_out, h / stride, w / stride].
        n_in: Channels before.
        n_out: Channels after.
        stride: Of the layers.
    """

    def __init__(self, layers: nn.Module, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        same = stride == 1 and n_in == n_out
        self.layers = layers
        self.shortcut = nn.Identity() if same else conv_norm(n_in, n_out, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, n_in, h, w] -> [B, n_out, h / stride, w / stride]."""
        out: Tensor = self.relu(self.layers(inputs) + self.shortcut(inputs))
        return out


def stage(
    make_block: MakeBlock, n_blocks: int, n_in: int, n_out: int, stride: int
) -> nn.Sequential:
    """Builds blocks of which the first changes channels and size."""
    first = make_block(n_in, n_out, stride)
    return nn.Sequential(first, *(make_block(n_out, n_out, 1) for _ in range(n_blocks - 1)))


class ThreeStages(Backbone):
    """A stem and three stages; the branch copies the third, so the map is half the picture's size.

    16x16 for pictures of 32x32, as published for residual networks (Fukui et al., CVPR 2019).

    Args:
        make_block: From channels before, channels after and stride to a block.
        n_blocks: Blocks in a stage.
        widths: Channels of the stem and of what each stage puts out.
    """

    def __init__(self, make_block: MakeBlock, n_blocks: int, widths: tuple[int, ...]) -> None:
        self.make_block = make_block
        self.n_blocks = n_blocks
        self.widths = widths
        self.channels = widths[2]
        self.body_channels = self.features_dim = widths[3]

    def extractor(self) -> nn.Module:
        """Builds the stem and the first two stages: [B, 3, H, W] -> [B, C, H/2, W/2]."""
        stem = nn.Sequential(conv_norm(3, self.widths[0], 3), nn.ReLU(inplace=True))
        return he_init(nn.Sequential(stem, self._stage(1, 1), self._stage(2, 2)))

    def branch_body(self) -> nn.Module:
        """Builds the third stage at stride 1: [B, C, h, w] -> [B, body_channels, h, w]."""
        return he_init(self._stage(3, 1))

    def perception(self) -> nn.Module:
        """Builds the third stage and average pooling: [B, C, h, w] -> [B, features_dim]."""
        return he_init(pooled(self._stage(3, 2)))

    def _stage(self, number: int, stride: int) -> nn.Sequential:
        n_in, n_out = self.widths[number - 1 : number + 1]
        return stage(self.make_block, self.n_blocks, n_in, n_out, stride)


class ResNet(ThreeStages):
    """The residual network for CIFAR (He et al., CVPR 2016, section 4.2): 16, 32, 64 channels.

    A depth counts the convolutions and the last layer: 6n + 2 with n basic blocks a stage, 9n + 2
    with bottlenecks. The ABN paper counts differently: its "ResNet-110" has n = (110 - 2) / 6 = 18
    *bottlenecks* a stage and so 164 layers; that network is depth 164 with bottlenecks here.
    Where channels or size change, the shortcut is a 1x1 convolution (option B), as in the ABN
    paper's code.

    Args:
        depth: 20, 56, 110, … with basic blocks; 164, … with bottlenecks.
        block: "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1 with four times as
            many channels).
        squeeze: Whether blocks end with squeeze-and-excitation (Hu et al., CVPR 2018).

    Raises:
        RlAbnError: If there is no such block, or no such depth with it.
    """

    def __init__(
        self,
        depth: int = 20,
        block: Literal["basic", "bottleneck"] = "basic",
        squeeze: bool = False,
    ) -> None:
        if block not in ("basic", "bottleneck"):
            raise RlAbnError(f"expected a block of 'basic' or 'bottleneck', got '{block}'")
        expansion = 1 if block == "basic" else 4
        n_blocks = blocks_a_stage("ResNet", depth, a_block=6 if block == "basic" else 9, others=2)

        def make_block(n_in: int, n_out: int, stride: int) -> nn.Module:
            layers = _basic(n_in, n_out, stride) if expansion == 1 else _narrow(n_in, n_out, stride)
            if squeeze:
                layers.append(SqueezeExcitationLayer(AttentionSite(n_out)))
            return ResidualBlock(layers, n_in, n_out, stride)

        super().__init__(make_block, n_blocks, (16, 16 * expansion, 32 * expansion, 64 * expansion))


class SeResNet(ResNet):
    """The residual network with squeeze-and-excitation in every block (Hu et al., CVPR 2018).

    Args:
        depth: 20, 56, 110, …: 6n + 2.
    """

    def __init__(self, depth: int = 20) -> None:
        super().__init__(depth, squeeze=True)


class ResNeXt(ThreeStages):
    """Bottlenecks with grouped convolutions (Xie et al., CVPR 2017): 29 layers, 8x64d.

    Args:
        depth: 9n + 2.
        cardinality: Groups of the 3x3 convolution.
        width: Channels of a group in the first stage.

    Raises:
        RlAbnError: If there is no such depth, or a count is below 1.
    """

    def __init__(self, depth: int = 29, cardinality: int = 8, width: int = 64) -> None:
        n_blocks = blocks_a_stage("ResNeXt", depth, a_block=9, others=2)
        if cardinality < 1 or width < 1:
            raise RlAbnError(
                f"expected a cardinality and a width of 1 or more, got {cardinality} and {width}"
            )

        def make_block(n_in: int, n_out: int, stride: int) -> nn.Module:
            inner = cardinality * width * n_out // 256
            layers = _narrow(n_in, n_out, stride, inner, cardinality)
            return ResidualBlock(layers, n_in, n_out, stride)

        super().__init__(make_block, n_blocks, (64, 256, 512, 1024))


def blocks_a_stage(name: str, depth: int, *, a_block: int, others: int) -> int:
    """Returns n of depth = a_block * n + others.

    Raises:
        RlAbnError: If no n >= 1 gives that depth; it names the nearest one.
    """
    n_blocks = max(round((depth - others) / a_block), 1)
    nearest = a_block * n_blocks + others
    if depth != nearest:
        raise RlAbnError(
            f"expected a depth of {a_block}n + {others} for {name}, got {depth}: "
            f"the nearest is {nearest}"
        )
    return n_blocks


def _basic(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(n_in, n_out, 3, stride), nn.ReLU(inplace=True), conv_norm(n_out, n_out, 3)
    )


def _narrow(
    n_in: int, n_out: int, stride: int, inner: int | None = None, groups: int = 1
) -> nn.Sequential:
    inner = n_out // 4 if inner is None else inner
    return nn.Sequential(
        conv_norm(n_in, inner, 1),
        nn.ReLU(inplace=True),
        conv_norm(inner, inner, 3, stride, groups),
        nn.ReLU(inplace=True),
        conv_norm(inner, n_out, 1),
    )
