"""Self-attention over the last steps of a game: a Transformer block with a cache."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import AttentionSite
from rl_abn.attention.mechanisms.remembering import (
    RememberingMechanism,
    StepEmbedding,
    shares_of_known,
)


class CausalAttention(RememberingMechanism):
    """A block of the Transformer's decoder over steps (Vaswani et al., NeurIPS 2017, section 3).

    A step's features are embedded as one token. It looks at itself and at the tokens of the last
    L - 1 steps, never at later ones. Their keys and values are the entries: while acting they are
    a cache, and none is computed twice. Keys have a learned embedding of their age added (Shaw et
    al., NAACL 2018, eq. 3), as an entry's place in the window changes with every step.

    Args:
        site: Where it attaches.
        heads: Number of heads, a divisor of the size.
        feedforward: Units between the two layers of the feed-forward network.
        length: L, see `RememberingMechanism`.
        size: D, likewise.

    Raises:
        ValueError: If a number is out of range, or the heads do not divide the size.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        heads: int = 4,
        feedforward: int = 128,
        length: int = 16,
        size: int = 64,
    ) -> None:
        super().__init__(site, length=length, size=size)
        if heads < 1 or size % heads:
            raise ValueError(f"expected heads that divide size = {size}, got {heads}")
        if feedforward < 1:
            raise ValueError(f"expected feedforward of 1 or more, got {feedforward}")
        self.heads, self.entry_size = heads, 2 * size
        self.embed = StepEmbedding(self.n_features, size)
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key_value = nn.Linear(size, size), nn.Linear(size, 2 * size)
        self.age = nn.Parameter(torch.randn(length, size // heads) * (size // heads) ** -0.5)
        self.attended = nn.Linear(size, size)
        self.feedforward = nn.Sequential(
            nn.Linear(size, feedforward), nn.ReLU(), nn.Linear(feedforward, size)
        )

    def write(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E"]:
        """Computes the key and the value of a step."""
        entry: Tensor = self.key_value(self.norm1(self.embed(features)))
        return entry

    def look(
        self,
        features: Float[Tensor, "B C h w"],
        entries: Float[Tensor, "B L E"],
        known: Bool[Tensor, "B L"],
    ) -> Float[Tensor, "B HL 1"]:
        """Computes each head's shares of the steps, over the number of heads."""
        query = self.query(self.norm1(self.embed(features))).unflatten(1, (self.heads, 1, -1))
        keys = self._by_head(entries[..., : self.size]) + self.age
        scores = (query.float() * keys).sum(dim=-1) * keys.shape[-1] ** -0.5
        weights: Tensor = shares_of_known(scores, known) / self.heads
        return weights.flatten(1)[..., None]

    def read(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B HL 1"],
        entries: Float[Tensor, "B L E"],
    ) -> Float[Tensor, "B D"]:
        """Returns what the block makes of the step's token."""
        weights = self.heads * attention_map.unflatten(1, (self.heads, -1))
        values = self._by_head(entries[..., self.size :])
        token = self.embed(features)
        token = token + self.attended((weights * values).sum(dim=2).flatten(1))
        out: Tensor = token + self.feedforward(self.norm2(token))
        return out

    def _by_head(self, parts: Tensor) -> Tensor:
        """Cuts keys or values, [B, L, D], in those of the heads, [B, H, L, d]."""
        heads: Tensor = parts.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return heads
