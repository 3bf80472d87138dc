"""Soft attention: a weighted mean over all locations."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.mechanism import Abilities
from rl_abn.attention.mechanisms.glimpse import Glimpse, GlimpseSampler, QueriedMechanism


class SoftAttention(QueriedMechanism):
    """Reads every location, weighted by its probability (Xu et al., ICML 2015, section 4.2)."""

    abilities: ClassVar[Abilities] = Abilities(splits=False, queries=True, sums_to_one=True)

    def glimpse(
        self,
        keys: Float[Tensor, "n hidden h w"],
        query: Float[Tensor, "n q"],
        choose: Tensor | GlimpseSampler | None = None,
    ) -> Glimpse:
        """Returns the probabilities of all locations as the map."""
        height, width = keys.shape[2:]
        return Glimpse(self.log_probabilities(keys, query).exp().view(-1, 1, height, width))
