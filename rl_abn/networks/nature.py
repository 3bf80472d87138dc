"""The convolutional network of Mnih et al. (Nature, 2015)."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from rl_abn.networks.network import check_attention_at, fully_connected, trace_shape


class NatureNetwork:
    """Three convolutions and a fully connected layer of 512.

    Attention attaches at the 9x9 map after the second convolution or the 7x7 map after the third
    (for 84x84 observations). The place is named by that size; other observation sizes give
    other maps at the same place.
    """

    attention_at: ClassVar[tuple[int, ...]] = (9, 7)
    features_dim: ClassVar[int] = 512
    channels: ClassVar[tuple[int, int, int]] = (32, 64, 64)

    def __init__(
        self, in_shape: tuple[int, int, int], attention_at: int = 9, *, layer_norm: bool = False
    ) -> None:
        check_attention_at(NatureNetwork, attention_at)
        self.in_shape = in_shape
        self.layer_norm = layer_norm
        self.n_before = 2 if attention_at == 9 else 3

    def extractor(self) -> nn.Module:
        """Builds the convolutions before the split."""
        return nn.Sequential(*self._convolutions()[: self.n_before])

    def branch_body(self, channels: int) -> nn.Module:
        """Builds the branch's own copy of the last convolution, padded to keep the map's size."""
        return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())

    def before_gate(self, channels: int) -> nn.Module:
        """Gates the features as they are."""
        return nn.Identity()

    def perception(self) -> nn.Module:
        """Builds the convolutions after the split and the fully connected layer."""
        convolutions = self._convolutions()
        n_flat = 1
        for size in trace_shape(nn.Sequential(*convolutions), self.in_shape):
            n_flat *= size
        rest: list[nn.Module] = list(convolutions[self.n_before :])
        flatten: nn.Module = nn.Flatten()
        if rest:
            # Rectified as a row, not as a map: gradients then lie in memory as what they are
            # multiplied with. It takes 2% off an update, and nothing else changes.
            rest[-1] = convolutions[-1][:1]
            flatten = nn.Sequential(flatten, nn.ReLU())
        return nn.Sequential(
            *rest,
            flatten,
            *fully_connected(n_flat, self.features_dim, self.layer_norm),
        )

    def _convolutions(self) -> list[nn.Sequential]:
        first, second, third = self.channels
        return [
            nn.Sequential(nn.Conv2d(self.in_shape[0], first, 8, stride=4), nn.ReLU()),
            nn.Sequential(nn.Conv2d(first, second, 4, stride=2), nn.ReLU()),
            nn.Sequential(nn.Conv2d(second, third, 3), nn.ReLU()),
        ]


class WideNatureNetwork(NatureNetwork):
    """The same with twice the channels."""

    channels: ClassVar[tuple[int, int, int]] = (64, 128, 128)
