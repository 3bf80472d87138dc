"""Attention heads beside convolution channels: attention-augmented convolution."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.pairs import (
    PairwiseMechanism,
    features_of,
    join_heads,
    shares,
    split_heads,
    tokens_of,
)


class AugmentedConvolution(PairwiseMechanism):
    """A layer of which some channels convolve and others attend (Bello et al., ICCV 2019).

    Concat[Conv(F), MHA(F)] (section 3.2), normalised where the network normalises, and rectified. A
    head's logits are q_i · (k_j + r^W + r^H) / √d, where r^W and r^H are learned embeddings of how
    far j lies to the right of i and below it (eq. 3).

    Args:
        site: Where it attaches.
        heads: Number of heads.
        attention_channels: d_v, channels that attend; the other channels of the features convolve.
        key_channels: d_k, channels of queries and of keys.
        kernel: Odd, of the convolution.
        positions: The largest height or width for which there are relative positions, where the
            network does not know the size of its features.

    Raises:
        ValueError: If the channels do not divide by the heads, there are not enough of them, or the
            kernel is even; later, if features are larger than `positions`.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        heads: int = 4,
        attention_channels: int = 16,
        key_channels: int = 16,
        kernel: int = 3,
        positions: int = 32,
    ) -> None:
        super().__init__()
        channels = site.channels
        if heads < 1 or attention_channels % heads or key_channels % heads:
            raise ValueError(
                f"expected heads that divide attention_channels = {attention_channels} and "
                f"key_channels = {key_channels}, got {heads}"
            )
        if not 0 < attention_channels <= channels:
            raise ValueError(
                f"expected attention_channels of 1 to {channels}, got {attention_channels}"
            )
        if kernel < 1 or kernel % 2 == 0 or positions < 1:
            raise ValueError(
                f"expected an odd kernel from 1 and positions from 1, got {kernel} and {positions}"
            )
        self.n_heads = heads
        self.largest = site.map_size or (positions, positions)
        n_convolved, size = channels - attention_channels, key_channels // heads
        self.convolution = (
            nn.Conv2d(channels, n_convolved, kernel, padding=kernel // 2) if n_convolved else None
        )
        self.query = nn.Linear(channels, key_channels)
        self.key = nn.Linear(channels, key_channels)
        self.value = nn.Linear(channels, attention_channels)
        self.join = nn.Linear(attention_channels, attention_channels)
        below, right = ((2 * largest - 1, size) for largest in self.largest)
        self.below = nn.Parameter(torch.randn(below) * size**-0.5)
        self.right = nn.Parameter(torch.randn(right) * size**-0.5)
        self.norm = site.norm(channels) if site.norm else nn.Identity()

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes every head's shares, maps of [B, 1, heads * h * w, h * w]."""
        tokens, size = tokens_of(features), features.shape[2:]
        if any(n > largest for n, largest in zip(size, self.largest, strict=True)):
            raise ValueError(
                f"expected features of at most {self.largest[0]}x{self.largest[1]} "
                f"(positions), got {size[0]}x{size[1]}"
            )
        queries = split_heads(self.query(tokens), self.n_heads).float()
        keys = split_heads(self.key(tokens), self.n_heads).float()
        logits = queries @ keys.transpose(2, 3) + self._relative(queries, *size)
        return no_answer(features, self.as_map(shares(logits * queries.shape[3] ** -0.5)))

    def _relative(
        self, queries: Float[Tensor, "B H N d"], height: int, width: int
    ) -> Float[Tensor, "B H N N"]:
        """Computes S^H + S^W, q_i · (r^H + r^W) of all pairs."""
        grid = queries.unflatten(2, (height, width))
        below = _differences(self.below, height)
        right = _differences(self.right, width)
        by_row = torch.einsum("bhyxd,yjd->bhyxj", grid, below)[..., :, None]
        by_column = torch.einsum("bhyxd,xjd->bhyxj", grid, right)[..., None, :]
        return (by_row + by_column).flatten(4).flatten(2, 3)

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 HN N"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns relu(Concat[Conv(F), MHA(F)]), [B, C, h, w]."""
        values = split_heads(self.value(tokens_of(features)), self.n_heads)
        found = join_heads(self.as_weights(attention_map).to(values.dtype) @ values)
        attended = features_of(self.join(found), *features.shape[2:])
        convolved = [] if self.convolution is None else [self.convolution(features)]
        out: Tensor = self.norm(torch.cat([*convolved, attended], dim=1)).relu()
        return out


def _differences(embeddings: Tensor, size: int) -> Tensor:
    """Returns the embedding of j - i for all i and j below a size, [size, size, d]."""
    places = torch.arange(size, device=embeddings.device)
    zero = (len(embeddings) - 1) // 2
    return embeddings[places[None, :] - places[:, None] + zero]
