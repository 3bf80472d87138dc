"""A question asked of every place of a feature map: where to look."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    """Additive attention over places (Bahdanau et al. 2015; Xu et al., ICML 2015, eq. 4 and 5).

    A place's score is v · tanh(K f + Q q + b): what lies there, matched with what is asked. Places
    compete: a softmax over all of them makes the map, which sums to 1.

    Args:
        in_channels: C, channels of the features.
        query_size: Size of the query.
        hidden: Size that both are projected to.
    """

    def __init__(self, in_channels: int, query_size: int, hidden: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(in_channels, hidden, 1)
        self.query = nn.Linear(query_size, hidden, bias=False)
        self.score = nn.Conv2d(hidden, 1, 1, bias=False)  # one constant for all would cancel out

    def keys(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B hidden h w"]:
        """Says what lies where; it does not depend on the query."""
        keys: Tensor = self.key(features)
        return keys

    def forward(
        self, keys: Float[Tensor, "n hidden h w"], query: Float[Tensor, "n q"]
    ) -> Float[Tensor, "n L"]:
        """Returns the log-probabilities of all L = h * w places, row by row, in fp32."""
        matched = torch.tanh(keys + self.query(query)[:, :, None, None])
        scores: Tensor = self.score(matched).flatten(1)
        return scores.float().log_softmax(dim=1)
