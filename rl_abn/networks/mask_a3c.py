"""The network of Mask-A3C (Itaya et al., IJCNN 2021) without its ConvLSTM."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from rl_abn.networks.network import check_attention_at, trace_shape


class MaskA3CNetwork:
    """Three convolutions, each pooled to half the size, and no fully connected layer.

    Attention attaches at the 10x10 map after the third (for 80x80 and 84x84 observations). Actor
    and critic each have a 1x1 convolution of their own, which comes before the gate, and are
    linear in what the gate lets through. The maps are made of the features before it.
    """

    attention_at: ClassVar[tuple[int, ...]] = (10,)
    gated_channels: ClassVar[int] = 32

    def __init__(
        self, in_shape: tuple[int, int, int], attention_at: int = 10, *, layer_norm: bool = False
    ) -> None:
        check_attention_at(MaskA3CNetwork, attention_at)
        if layer_norm:
            raise ValueError(
                "expected layer_norm = false for mask_a3c, which has no fully connected layer"
            )
        self.in_shape = in_shape
        _, height, width = trace_shape(self.extractor(), in_shape)
        self._features_dim = self.gated_channels * height * width

    @property
    def features_dim(self) -> int:
        """3200 for 10x10 maps."""
        return self._features_dim

    def extractor(self) -> nn.Module:
        """Builds the convolutions before the split."""
        return nn.Sequential(
            _half(nn.Conv2d(self.in_shape[0], 32, 5, padding=2)),
            _half(nn.Conv2d(32, 32, 3, padding=1)),
            _half(nn.Conv2d(32, 64, 3, padding=1)),
        )

    def branch_body(self, channels: int) -> nn.Module:
        """Builds a 3x3 convolution for a branch that answers; the published one does not."""
        return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())

    def before_gate(self, channels: int) -> nn.Module:
        """Builds a stage's own 1x1 convolution."""
        return nn.Sequential(nn.Conv2d(channels, self.gated_channels, 1), nn.ReLU())

    def perception(self) -> nn.Module:
        """Lays the gated features out in a row."""
        return nn.Flatten()


def _half(convolution: nn.Module) -> nn.Module:
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.ReLU())
