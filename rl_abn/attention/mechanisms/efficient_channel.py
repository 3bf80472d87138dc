"""One weight a channel, made of its neighbours: efficient channel attention."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.channel import ChannelMechanism


class EfficientChannelAttention(ChannelMechanism):
    """Weights channels by a convolution over neighbouring ones (Wang et al., CVPR 2020, eq. 9).

    Average pooling makes one number a channel; a convolution along the channels and a sigmoid turn
    these into weights. There is no layer that mixes all channels, so it has a handful of weights
    where squeeze-and-excitation has thousands.

    Args:
        site: Where it attaches.
        kernel: Odd, how many channels a weight is made of; 0 takes
            (log2(C) + 1) / 2, made odd (eq. 12).

    Raises:
        ValueError: If the kernel is neither 0 nor odd and above 0.
    """

    def __init__(self, site: AttentionSite, *, kernel: int = 0) -> None:
        super().__init__()
        if kernel and (kernel < 0 or kernel % 2 == 0):
            raise ValueError(f"expected a kernel of 0 or an odd number from 1, got {kernel}")
        kernel = kernel or _nearest_odd(site.channels)
        self.over_channels = nn.Conv1d(1, site.n_maps, kernel, padding=kernel // 2, bias=False)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the weights of the channels, maps of [B, m, C, 1]."""
        squeezed = features.mean(dim=(2, 3))[:, None]
        weights: Tensor = self.over_channels(squeezed).sigmoid()
        return no_answer(features, weights[..., None])


def _nearest_odd(channels: int) -> int:
    """Returns the kernel for a number of channels, as the authors' code computes it (eq. 12)."""
    size = int(abs((math.log2(channels) + 1) / 2))
    return size if size % 2 else size + 1
