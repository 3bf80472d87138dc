"""What mechanisms that compare every location with every other share."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.mechanism import Abilities, Mechanism


class PairwiseMechanism(Mechanism):
    """Has maps from locations to locations: a row asks, its columns say what it looks at.

    Attributes:
        n_heads: How many maps of all pairs lie below each other: heads, times blocks.
    """

    abilities: ClassVar[Abilities] = Abilities(
        maps="pairwise", splits=False, sums_to_one=True, any_channels=False
    )
    n_heads: int = 1

    @staticmethod
    def as_map(weights: Float[Tensor, "B H N M"]) -> Float[Tensor, "B 1 HN M"]:
        """Returns what H heads' N locations give to M locations as one map."""
        attention_map: Tensor = weights.flatten(1, 2)[:, None]
        return attention_map

    def as_weights(self, attention_map: Float[Tensor, "B 1 HN M"]) -> Float[Tensor, "B H N M"]:
        """Returns a map as each head's weights."""
        weights: Tensor = attention_map[:, 0].unflatten(1, (self.n_heads, -1))
        return weights


def tokens_of(features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N C"]:
    """Returns the features of all N = h * w locations, row by row."""
    return features.flatten(2).transpose(1, 2)


def features_of(tokens: Float[Tensor, "B N C"], height: int, width: int) -> Tensor:
    """Returns tokens as features [B, C, h, w]."""
    features: Tensor = tokens.transpose(1, 2).unflatten(2, (height, width))
    return features


def split_heads(tokens: Float[Tensor, "B N C"], n_heads: int) -> Float[Tensor, "B H N d"]:
    """Cuts each token in equal parts, one a head."""
    heads: Tensor = tokens.unflatten(2, (n_heads, -1)).transpose(1, 2)
    return heads


def join_heads(heads: Float[Tensor, "B H N d"]) -> Float[Tensor, "B N C"]:
    """Puts the heads' parts of each token together again."""
    tokens: Tensor = heads.transpose(1, 2).flatten(2)
    return tokens


def shares(
    scores: Float[Tensor, "*lead M"], allowed: Tensor | None = None
) -> Float[Tensor, "*lead M"]:
    """Returns a softmax over the last dimension, in fp32.

    Args:
        scores: Scores.
        allowed: False where nothing is shared out, broadcastable; each row has to have a True.
    """
    scores = scores.float()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(dim=-1)
