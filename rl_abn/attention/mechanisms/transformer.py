"""Self-attention over the locations of a feature map: the Transformer's encoder."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.nearness import Nearness
from rl_abn.attention.mechanisms.pairs import (
    PairwiseMechanism,
    features_of,
    join_heads,
    shares,
    split_heads,
    tokens_of,
)

POSITIONS = ("sine", "near", "none")


class EncoderBlock(nn.Module):
    """Multi-head self-attention and a feed-forward network (Vaswani et al., 2017, section 3).

    Its halves are apart: `weights` says who looks at whom (eq. 1 without V), and `forward` computes
    the rest for any weights.

    Args:
        channels: C.
        heads: H, a divisor of C.
        feedforward: Units between the two layers of the feed-forward network (eq. 2).
        norm_first: Whether layers are normalised before each half (Xiong et al., ICML 2020), else
            after each sum, as published.
    """

    def __init__(self, channels: int, heads: int, feedforward: int, norm_first: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm_first = norm_first
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.value, self.out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.feedforward = nn.Sequential(
            nn.Linear(channels, feedforward), nn.ReLU(), nn.Linear(feedforward, channels)
        )

    def weights(
        self,
        tokens: Float[Tensor, "B N C"],
        allowed: Bool[Tensor, "N N"] | None = None,
        added: Float[Tensor, "H N N"] | None = None,
    ) -> Float[Tensor, "B H N N"]:
        """Computes softmax(Q K^T / √d + added) of every head."""
        tokens = self.norm1(tokens) if self.norm_first else tokens
        queries = split_heads(self.query(tokens), self.heads).float()
        keys = split_heads(self.key(tokens), self.heads).float()
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
        return shares(scores if added is None else scores + added.float(), allowed)

    def forward(
        self, tokens: Float[Tensor, "B N C"], weights: Float[Tensor, "B H N N"]
    ) -> Float[Tensor, "B N C"]:
        """Reads the tokens through the weights, and passes each through the network."""
        read = self.norm1(tokens) if self.norm_first else tokens
        values = split_heads(self.value(read), self.heads)
        found = self.out(join_heads(weights.to(values.dtype) @ values))
        if self.norm_first:
            tokens = tokens + found
            out: Tensor = tokens + self.feedforward(self.norm2(tokens))
            return out
        tokens = self.norm1(tokens + found)
        normed: Tensor = self.norm2(tokens + self.feedforward(tokens))
        return normed


class TransformerEncoder(PairwiseMechanism):
    """Encoder blocks over the locations of a feature map (Vaswani et al., NeurIPS 2017).

    A location is a token. The map has the shares of every block and head below each other. Blocks
    compute in `gate`, for the maps they are given; what their own maps would be, `forward` finds
    by running all blocks but the last, so a second block costs twice.

    Args:
        site: Where it attaches.
        blocks: Number of encoder blocks.
        heads: Number of heads, a divisor of the channels.
        feedforward: Units between the two layers of the feed-forward network.
        positions: "sine" adds sines and cosines of row and column to the tokens (section 3.5, each
            in one half of the channels), "near" relative positions to each head's scores, by which
            heads look near by at first (`Nearness`), "none" leaves them out.
        norm_first: Whether layers are normalised before each half instead of after.

    Raises:
        ValueError: If a number is out of range, or the heads do not divide the channels.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        blocks: int = 1,
        heads: int = 4,
        feedforward: int = 128,
        positions: str = "sine",
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        channels = site.channels
        if blocks < 1 or feedforward < 1:
            raise ValueError(
                f"expected blocks and feedforward of 1 or more, got {blocks} and {feedforward}"
            )
        if heads < 1 or channels % heads:
            raise ValueError(f"expected heads that divide {channels} channels, got {heads}")
        if positions not in POSITIONS:
            raise ValueError(f"expected positions of {POSITIONS}, got '{positions}'")
        self.positions = positions
        self.heads, self.n_heads = heads, blocks * heads
        self.near = nn.ModuleList(Nearness(heads) for _ in range(blocks * (positions == "near")))
        self.blocks = nn.ModuleList(
            EncoderBlock(channels, heads, feedforward, norm_first) for _ in range(blocks)
        )

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes all shares, maps of [B, 1, blocks * heads * h * w, h * w]."""
        tokens, allowed = self._tokens(features), self.allowed(features)
        weights: list[Tensor] = []
        for i, block in enumerate(self.encoder_blocks):
            if weights:
                tokens = self.encoder_blocks[i - 1](tokens, weights[-1])
            added = self.near[i](*features.shape[2:]) if self.near else None
            weights.append(block.weights(tokens, allowed, added))
        return no_answer(features, self.as_map(torch.cat(weights, dim=1)))

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 HN N"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns what the blocks make of the features, [B, C, h, w]."""
        tokens = self._tokens(features)
        weights = self.as_weights(attention_map).split(self.heads, dim=1)
        for block, own in zip(self.encoder_blocks, weights, strict=True):
            tokens = block(tokens, own)
        return features_of(tokens, *features.shape[2:])

    def allowed(self, features: Float[Tensor, "B C h w"]) -> Bool[Tensor, "N N"] | None:
        """Returns which locations may look at which; None is all at all."""
        del features
        return None

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the last layer of each half: features pass almost as they are at first."""
        return tuple(
            layer for block in self.encoder_blocks for layer in (block.out, block.feedforward[2])
        )

    @property
    def encoder_blocks(self) -> list[EncoderBlock]:
        """The blocks, first to last."""
        return [block for block in self.blocks if isinstance(block, EncoderBlock)]

    def _tokens(self, features: Tensor) -> Tensor:
        if self.positions == "sine":
            features = features + sines(features)
        return tokens_of(features)


def sines(features: Float[Tensor, "B C h w"]) -> Float[Tensor, "C h w"]:
    """Returns position encodings for features: the first half of the channels encodes rows."""
    _, channels, height, width = features.shape
    half = -(-channels // 2)
    rows = _sines(half, height, features)[:, :, None].expand(-1, -1, width)
    columns = _sines(channels - half, width, features)[:, None].expand(-1, height, -1)
    return torch.cat([rows, columns]).to(features.dtype)


def _sines(channels: int, size: int, like: Tensor) -> Tensor:
    """Returns sines and cosines in turn, wavelengths from 2π to 10,000 · 2π, [channels, size]."""
    channel = torch.arange(channels, device=like.device)
    rate = 10_000.0 ** (-2 * (channel // 2) / max(channels, 1))
    angle = rate[:, None] * torch.arange(size, device=like.device)
    return torch.where(channel[:, None] % 2 == 0, angle.sin(), angle.cos())
