"""The residual network of IMPALA (Espeholt et al., ICML 2018, figure 3, large)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from rl_abn.networks.network import check_attention_at, fully_connected, trace_shape

_BLOCK_START = 0.1


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity; activation comes first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, h, w] -> the same shape."""
        out: Tensor = inputs + self.layers(inputs)
        return out

    def set_own_start(self) -> None:
        """Starts close to the identity: what blocks add up to does not grow with their number."""
        _scale(self.layers[-1], _BLOCK_START)


class Stage(nn.Sequential):
    """A convolution, pooling and two residual blocks."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, 3, padding=1),
            nn.MaxPool2d(3, stride=2, padding=1),
            ResidualBlock(n_out),
            ResidualBlock(n_out),
        )

    def set_own_start(self) -> None:
        """Takes back the rectifier's gain: pooling takes the largest, and nothing is rectified."""
        _scale(self[0], 0.5**0.5)


class ImpalaNetwork:
    """Three stages (16, 32, 32 channels) of convolution, pooling and two residual blocks.

    Attention attaches at the 21x21 map after the second stage or the 11x11 map after the third
    (for 84x84 observations). The features there are taken after a ReLU, so that a gate of zero
    means "nothing seen" as it does in the Nature network.
    """

    attention_at: ClassVar[tuple[int, ...]] = (21, 11)
    features_dim: ClassVar[int] = 256
    channels: ClassVar[tuple[int, ...]] = (16, 32, 32)

    def __init__(
        self, in_shape: tuple[int, int, int], attention_at: int = 21, *, layer_norm: bool = False
    ) -> None:
        check_attention_at(ImpalaNetwork, attention_at)
        self.in_shape = in_shape
        self.layer_norm = layer_norm
        self.n_before = 2 if attention_at == 21 else 3

    def extractor(self) -> nn.Module:
        """Builds the stages before the split."""
        return nn.Sequential(*self._stages()[: self.n_before], nn.ReLU())

    def branch_body(self, channels: int) -> nn.Module:
        """Builds one residual block for the branch's own use."""
        return nn.Sequential(ResidualBlock(channels), nn.ReLU())

    def before_gate(self, channels: int) -> nn.Module:
        """Gates the features as they are."""
        return nn.Identity()

    def perception(self) -> nn.Module:
        """Builds the stages after the split and the fully connected layer."""
        stages = self._stages()
        n_flat = 1
        for size in trace_shape(nn.Sequential(*stages), self.in_shape):
            n_flat *= size
        return nn.Sequential(
            *stages[self.n_before :],
            nn.ReLU(),
            nn.Flatten(),
            *fully_connected(n_flat, self.features_dim, self.layer_norm),
        )

    def _stages(self) -> list[nn.Module]:
        in_channels = (self.in_shape[0], *self.channels[:-1])
        return [Stage(n_in, n_out) for n_in, n_out in zip(in_channels, self.channels, strict=True)]


def _scale(layer: nn.Module, factor: float) -> None:
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight.mul_(factor)
