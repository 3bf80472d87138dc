"""Several glimpses at one picture, each asked for by what the last ones showed."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import (
    Abilities,
    Attention,
    AttentionSite,
    Mechanism,
    no_answer,
)
from rl_abn.attention.mechanisms.glimpse import QueriedMechanism
from rl_abn.attention.mechanisms.hard import HardAttention
from rl_abn.attention.mechanisms.soft import SoftAttention

_COORDINATES = 2


class _Look(NamedTuple):
    """A series of glimpses: its map [B, G, h * w], and log-probabilities, each [B, h * w]."""

    map: Tensor
    log_probs: list[Tensor]


class GlimpseSeries(Mechanism):
    """Show, Attend and Tell's decoder on one picture (Xu et al., ICML 2015, section 3.1).

    An LSTM begins with the mean of the features. G times its state asks where to look, and what is
    read there is its next input. What it puts out at last is all that the layers behind get, the
    same at every location. The map has a row a glimpse and a column a location, and all its values
    sum to 1. Two channels say where a location is.

    Args:
        site: Where it attaches.
        glimpses: G.
        hidden: Size of the LSTM.

    Raises:
        ValueError: If a number is below 1.
    """

    abilities: ClassVar[Abilities] = Abilities(
        maps="temporal", splits=False, sums_to_one=True, any_channels=False, pictures_only=True
    )

    def __init__(self, site: AttentionSite, *, glimpses: int = 4, hidden: int = 128) -> None:
        super().__init__()
        if glimpses < 1 or hidden < 1:
            raise ValueError(f"expected glimpses and hidden from 1, got {glimpses} and {hidden}")
        channels = site.channels + _COORDINATES
        self.n_glimpses = glimpses
        self.first_output = nn.Linear(channels, hidden)  # f_init,h and f_init,c of the paper
        self.first_cell = nn.Linear(channels, hidden)
        self.where = self.attention(AttentionSite(channels, query_size=hidden))
        self.lstm = nn.LSTMCell(channels, hidden)
        self.out = nn.Linear(hidden, site.channels)

    @abstractmethod
    def attention(self, site: AttentionSite) -> QueriedMechanism:
        """Builds what finds the place of one glimpse."""

    @abstractmethod
    def choose(self, log_probs: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Returns the map of one glimpse."""

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the map of the series, [B, 1, G, h * w]."""
        look, _ = self._series(features, None)
        return no_answer(features, look.map[:, None])

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 G L"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns what the LSTM puts out after its glimpses, [B, C, h, w], alike everywhere."""
        _, seen = self._series(features, attention_map[:, 0])
        read: Tensor = self.out(seen).relu()
        return read[:, :, None, None].expand_as(features)

    def _series(self, features: Tensor, given: Tensor | None) -> tuple[_Look, Tensor]:
        """Looks G times, through given maps or its own; returns the looks and the last output."""
        located = torch.cat([features, _coordinates(features)], dim=1)
        mean = located.mean(dim=(2, 3))
        state = self.first_output(mean).tanh(), self.first_cell(mean).tanh()
        keys, places = self.where.keys(located), located.flatten(2)
        maps, log_probs = [], []
        for i in range(self.n_glimpses):
            if given is None:
                log_probs.append(self.where.log_probabilities(keys, state[0]))
                maps.append(self.choose(log_probs[-1]))
                share = maps[-1]
            else:
                share = self.n_glimpses * given[:, i]
            read = (places * share[:, None].to(places.dtype)).sum(dim=2)
            state = self.lstm(read, state)
        look = _Look(torch.stack(maps, dim=1) / self.n_glimpses if maps else mean, log_probs)
        return look, state[0]


class SoftGlimpses(GlimpseSeries):
    """Reads every location at each glimpse, weighted (Xu et al., section 4.2).

    Args:
        site: Where it attaches.
        doubly_stochastic: λ of Σ_i (1 - Σ_t α_ti)² (eq. 14), which asks that every location be
            looked at once in the series; 0 leaves it out.
        glimpses: G, see `GlimpseSeries`.
        hidden: Likewise.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        doubly_stochastic: float = 0.0,
        glimpses: int = 4,
        hidden: int = 128,
    ) -> None:
        super().__init__(site, glimpses=glimpses, hidden=hidden)
        if not 0 <= doubly_stochastic < float("inf"):
            raise ValueError(f"expected doubly_stochastic of 0 or more, got {doubly_stochastic}")
        self.doubly_stochastic = doubly_stochastic

    def attention(self, site: AttentionSite) -> QueriedMechanism:
        """Builds soft attention."""
        return SoftAttention(site)

    def choose(self, log_probs: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Returns the probabilities."""
        return log_probs.exp()

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the map, and the regularisation where there is one."""
        attention = super().forward(features)
        if not self.doubly_stochastic:
            return attention
        looked_at = self.n_glimpses * attention.map.sum(dim=(1, 2))
        penalty = (1 - looked_at).square().sum(dim=1)
        return attention._replace(own_loss=self.doubly_stochastic * penalty)


class HardGlimpses(GlimpseSeries):
    """Looks at one location at each glimpse, sampled in training (Xu et al., section 4.1).

    Where it looks is learned by REINFORCE (eq. 12): log-probabilities of the locations times how
    much better the answer was than those to the batch's other pictures, with a bonus for the
    entropy. In evaluation it takes the most probable locations.

    Args:
        site: Where it attaches.
        entropy: λ_e, weight of the entropy.
        glimpses: G, see `GlimpseSeries`.
        hidden: Likewise.

    Raises:
        ValueError: If a number is out of range.
    """

    abilities: ClassVar[Abilities] = Abilities(
        maps="temporal",
        splits=False,
        samples=True,
        sums_to_one=True,
        any_channels=False,
        pictures_only=True,
    )

    def __init__(
        self, site: AttentionSite, *, entropy: float = 0.01, glimpses: int = 4, hidden: int = 128
    ) -> None:
        super().__init__(site, glimpses=glimpses, hidden=hidden)
        if not 0 <= entropy < float("inf"):
            raise ValueError(f"expected entropy of 0 or more, got {entropy}")
        self.entropy = entropy

    def attention(self, site: AttentionSite) -> QueriedMechanism:
        """Builds hard attention."""
        return HardAttention(site)

    def choose(self, log_probs: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Returns 1 at one location, a sampled one in training."""
        probabilities = log_probs.detach().exp()
        if self.training:
            location = probabilities.multinomial(1)
        else:
            location = probabilities.argmax(dim=1, keepdim=True)
        return torch.zeros_like(probabilities).scatter(1, location, 1.0)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes the map, the log-probability of its locations, and their entropy's bonus."""
        look, _ = self._series(features, None)
        log_probs = torch.stack(look.log_probs, dim=1)
        chosen = (log_probs * (self.n_glimpses * look.map)).sum(dim=(1, 2))
        entropy = -(log_probs.exp() * log_probs).sum(dim=(1, 2))
        attention = no_answer(features, look.map[:, None])
        return attention._replace(own_loss=-self.entropy * entropy, log_prob=chosen)


def _coordinates(features: Tensor) -> Float[Tensor, "B 2 h w"]:
    """Returns x and y of every location, -1..1."""
    batch, _, height, width = features.shape
    y = torch.linspace(-1, 1, height, device=features.device)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=features.device).expand(height, width)
    return torch.stack([x, y]).to(features.dtype).expand(batch, 2, height, width)
