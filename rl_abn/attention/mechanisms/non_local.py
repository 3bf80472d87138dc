"""z = W y + x, y a weighted sum over all locations: non-local neural networks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, no_answer
from rl_abn.attention.mechanisms.pairs import PairwiseMechanism, features_of, shares, tokens_of

SIMILARITIES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


class NonLocalBlock(PairwiseMechanism):
    """Adds to each location what it finds in all others (Wang et al., CVPR 2018, eq. 1 and 6).

    y_i = 1/C(x) Σ_j f(x_i, x_j) g(x_j) and z_i = W y_i + x_i. The map is f / C, a row for each i.
    W is 0 at the start, so a trained network can take the block in without a change.

    Args:
        site: Where it attaches.
        similarity: f: "gaussian" exp(x_i · x_j) (eq. 2), "embedded_gaussian" exp(θ(x_i) · φ(x_j))
            (eq. 3), both divided by their sum over j; "dot_product" θ(x_i) · φ(x_j) (eq. 4) or
            "concatenation" relu(w · [θ(x_i), φ(x_j)]) (eq. 5), both divided by the number of
            locations. Their maps share out no sum, and those of dot products may be negative.
        inner: Channels of θ, φ and g; 0 takes half of the features'.

    Raises:
        ValueError: If there is no such similarity, or inner is below 0.
    """

    def __init__(
        self, site: AttentionSite, *, similarity: str = "embedded_gaussian", inner: int = 0
    ) -> None:
        super().__init__()
        if similarity not in SIMILARITIES:
            raise ValueError(f"expected a similarity of {SIMILARITIES}, got '{similarity}'")
        if inner < 0:
            raise ValueError(f"expected inner channels of 0 or more, got {inner}")
        channels, inner = site.channels, inner or max(site.channels // 2, 1)
        self.similarity = similarity
        embeds = similarity != "gaussian"
        self.theta = nn.Linear(channels, inner) if embeds else nn.Identity()
        self.phi = nn.Linear(channels, inner) if embeds else nn.Identity()
        self.pair = nn.Linear(2 * inner, 1, bias=False) if similarity == "concatenation" else None
        self.g = nn.Linear(channels, inner)
        self.out = nn.Linear(inner, channels)

    @classmethod
    def abilities_with(cls, **options: Any) -> Abilities:
        """Returns abilities by which the maps of the first two similarities sum to 1."""
        similarity = options.get("similarity", SIMILARITIES[0])
        if similarity in SIMILARITIES[:2]:
            return cls.abilities
        return Abilities(maps="pairwise", splits=False, any_channels=False)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes f / C of all pairs, maps of [B, 1, h * w, h * w]."""
        tokens = tokens_of(features)
        asks, answers = self.theta(tokens), self.phi(tokens)
        if self.pair is None:
            scores = asks @ answers.transpose(1, 2)
        else:  # w · [θ, φ] is a sum of two, and a number for each location instead of each pair
            asking, answering = self.pair.weight.chunk(2, dim=1)
            scores = (asks @ asking.T + (answers @ answering.T).transpose(1, 2)).relu()
        if self.similarity in SIMILARITIES[:2]:
            weights = shares(scores)
        else:
            weights = scores.float() / scores.shape[2]
        return no_answer(features, self.as_map(weights[:, None]))

    def gate(
        self, features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B 1 N M"]
    ) -> Float[Tensor, "B C h w"]:
        """Returns W (M g(F)) + F, [B, C, h, w]."""
        values = self.g(tokens_of(features))
        found = self.out(attention_map[:, 0].to(values.dtype) @ values)
        return features + features_of(found, *features.shape[2:])

    def set_own_start(self) -> None:
        """Sets W to 0."""
        with torch.no_grad():
            self.out.weight.zero_()
            self.out.bias.zero_()
