"""Wide residual networks for small pictures."""

from __future__ import annotations

from torch import Tensor, nn

from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import he_init, pooled
from rl_abn.vision.models.resnet import ThreeStages, blocks_a_stage


class WideBlock(nn.Module):
    """BatchNorm and ReLU before each of two 3x3 convolutions, dropout between them."""

    def __init__(self, n_in: int, n_out: int, stride: int, drop: float) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Dropout(drop),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        )
        same = stride == 1 and n_in == n_out
        self.shortcut = None if same else nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, n_in, h, w] -> [B, n_out, h / stride, w / stride]."""
        ready = self.before(inputs)
        # Where channels change the shortcut, too, starts after the activation.
        past = inputs if self.shortcut is None else self.shortcut(ready)
        out: Tensor = past + self.layers(ready)
        return out


class WideResNet(ThreeStages):
    """The wide residual network (Zagoruyko and Komodakis, BMVC 2016): WRN-depth-width.

    Args:
        depth: 6n + 4, with n blocks a stage.
        width: How many times wider than 16, 32 and 64 channels.
        drop: Dropout between the convolutions of every block, in training only.

    Raises:
        RlAbnError: If there is no such depth, or a number is out of range.
    """

    def __init__(self, depth: int = 28, width: int = 10, drop: float = 0.3) -> None:
        n_blocks = blocks_a_stage("WideResNet", depth, a_block=6, others=4)
        if width < 1 or not 0 <= drop < 1:
            raise RlAbnError(f"expected width >= 1 and 0 <= drop < 1, got {width} and {drop}")

        def make_block(n_in: int, n_out: int, stride: int) -> nn.Module:
            return WideBlock(n_in, n_out, stride, drop)

        super().__init__(make_block, n_blocks, (16, 16 * width, 32 * width, 64 * width))

    def extractor(self) -> nn.Module:
        """Builds the stem and the first two stages: [B, 3, H, W] -> [B, C, H/2, W/2]."""
        stem = nn.Conv2d(3, self.widths[0], 3, padding=1, bias=False)
        return he_init(nn.Sequential(stem, self._stage(1, 1), self._stage(2, 2)))

    def perception(self) -> nn.Module:
        """Builds the third stage and what pools it: [B, C, h, w] -> [B, features_dim]."""
        after = (nn.BatchNorm2d(self.features_dim), nn.ReLU(inplace=True))
        return he_init(pooled(self._stage(3, 2), *after))
