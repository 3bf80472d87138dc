"""Attention that a query directs: an LSTM's state asks, every location answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from rl_abn.attention.mechanism import AttentionSite, Mechanism

GlimpseSampler = Callable[[Tensor], Tensor]
"""From log-probabilities of locations [n, L] to the locations looked at, int64 [n]."""


class Glimpse(NamedTuple):
    """Where a mechanism looks in n feature maps.

    Attributes:
        map: What it reads the features through, [n, 1, h, w]; it sums to 1.
        logits: Log-probabilities of the locations it sampled from, fp32 [n, L]; None if it
            samples none.
        location: The locations it looked at, int64 [n], row by row; None if it samples none.
    """

    map: Float[Tensor, "n 1 h w"]
    logits: Float[Tensor, "n L"] | None = None
    location: Int64[Tensor, " n"] | None = None


class QueriedMechanism(Mechanism):
    """Additive attention over locations (Bahdanau et al. 2015; Xu et al., ICML 2015, eq. 4, 5).

    The score of a location is v · tanh(K f + Q q + b): its key, matched with the query. A softmax
    over all locations turns the scores into probabilities. Keys do not depend on the query and
    are computed once for many queries; `glimpse` makes the map for one query, and `gate` reads
    the features through it.

    Args:
        site: Where it attaches; it has a query.

    Raises:
        ValueError: If the site has no query.
    """

    def __init__(self, site: AttentionSite) -> None:
        super().__init__()
        if site.query_size is None:
            raise ValueError(f"expected a site with a query for {type(self).__name__}, got none")
        hidden = site.query_size
        self.key = nn.Conv2d(site.channels, hidden, 1)
        self.query = nn.Linear(site.query_size, hidden, bias=False)
        self.score = nn.Conv2d(hidden, 1, 1, bias=False)  # a bias would cancel in the softmax

    def keys(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B hidden h w"]:
        """Computes the keys of all locations; they do not depend on the query."""
        keys: Tensor = self.key(features)
        return keys

    def log_probabilities(
        self, keys: Float[Tensor, "n hidden h w"], query: Float[Tensor, "n q"]
    ) -> Float[Tensor, "n L"]:
        """Computes log-probabilities of all L = h * w locations, row by row, in fp32."""
        matched = torch.tanh(keys + self.query(query)[:, :, None, None])
        scores: Tensor = self.score(matched).flatten(1)
        return scores.float().log_softmax(dim=1)

    def glimpse(
        self,
        keys: Float[Tensor, "n hidden h w"],
        query: Float[Tensor, "n q"],
        choose: Tensor | GlimpseSampler | None = None,
    ) -> Glimpse:
        """Computes where to look for one query.

        Args:
            keys: What `keys` made of the features.
            query: The query.
            choose: The locations to look at, int64 [n], or how they are chosen from their
                log-probabilities; None takes the most probable. Only mechanisms that sample
                use it.
        """
        raise NotImplementedError

    def gate(
        self, features: Float[Tensor, "n C h w"], attention_map: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n C 1 1"]:
        """Returns the mean of the features weighted by the map (Xu et al., ICML 2015, eq. 13)."""
        return (features * attention_map).sum(dim=(2, 3), keepdim=True)

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns the scoring layer: all locations start about equally probable."""
        return (self.score,)
