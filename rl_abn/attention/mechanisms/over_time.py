"""A step asks earlier ones: the attention of translation, over the steps of a game."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Abilities, AttentionSite
from rl_abn.attention.mechanisms.pairs import tokens_of
from rl_abn.attention.mechanisms.remembering import (
    RememberingMechanism,
    StepEmbedding,
    shares_of_known,
)

SCORES = ("additive", "dot", "general", "concat")
SCOPES = ("global", "local")


class AttentionOverTime(RememberingMechanism):
    """Compares this step's state with those of the last steps (Bahdanau et al., ICLR 2015).

    h is this step's state and h_s an earlier one's, both embeddings of features. A score says how
    they fit, a softmax over the steps makes shares a_s, and tanh(W_c [Σ a_s h_s; h]) is added to
    the features (Luong et al., EMNLP 2015, eq. 5).

    Args:
        site: Where it attaches.
        score: "additive" v · tanh(W h + U h_s) (Bahdanau et al., appendix A.1.2), "dot" h · h_s,
            "general" h · W h_s, or "concat" v · tanh(W [h; h_s]) (Luong et al., eq. 8).
        scope: "global" looks at all steps. "local" predicts a centre p among them (eq. 9), looks at
            those within `half_width` of it, and multiplies their shares by a Gaussian around it
            with half of that as its deviation (eq. 10): its maps sum to less than 1.
        half_width: D, in steps.
        where: Whether entries keep the locations apart. Maps then say when and where, with a column
            a location, and h_s is a location's.
        length: L, see `RememberingMechanism`.
        size: D, likewise.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        score: str = "additive",
        scope: str = "global",
        half_width: int = 4,
        where: bool = False,
        length: int = 16,
        size: int = 64,
    ) -> None:
        super().__init__(site, length=length, size=size)
        if score not in SCORES:
            raise ValueError(f"expected a score of {SCORES}, got '{score}'")
        if scope not in SCOPES:
            raise ValueError(f"expected a scope of {SCOPES}, got '{scope}'")
        if half_width < 1:
            raise ValueError(f"expected a half_width of 1 or more, got {half_width}")
        self.score, self.scope, self.half_width, self.where = score, scope, half_width, where
        n_places = self.n_features // site.channels if where else 1
        self.entry_size = n_places * size
        self.state = StepEmbedding(self.n_features, size)
        self.entry: nn.Module = (
            nn.Linear(site.channels, size) if where else StepEmbedding(self.n_features, size)
        )
        self.ask = nn.Linear(size, size) if score == "additive" else None
        self.answer = (
            nn.Linear(size, size, bias=False) if score in ("additive", "general") else None
        )
        self.both = nn.Linear(2 * size, size) if score == "concat" else None
        self.weigh = nn.Linear(size, 1, bias=False) if score in ("additive", "concat") else None
        self.centre = (
            nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1))
            if scope == "local"
            else None
        )
        self.combine = nn.Linear(2 * size, size)

    @classmethod
    def abilities_with(cls, **options: Any) -> Abilities:
        """Returns abilities by which local maps, whose sum a Gaussian lowers, do not sum to 1."""
        if options.get("scope", SCOPES[0]) == "global":
            return cls.abilities
        return Abilities(maps="temporal", splits=False, any_channels=False, remembers=True)

    def write(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E"]:
        """Computes the state of a step, or of all its locations."""
        states: Tensor = self.entry(tokens_of(features) if self.where else features)
        entry: Tensor = states.flatten(1)
        return entry

    def look(
        self,
        features: Float[Tensor, "B C h w"],
        entries: Float[Tensor, "B L E"],
        known: Bool[Tensor, "B L"],
    ) -> Float[Tensor, "B L columns"]:
        """Computes the shares of the steps, or of all locations at them."""
        state = self.state(features)
        states = entries.unflatten(2, (-1, self.size))
        scores = self._scores(state[:, None, None], states)
        gauss: Tensor | None = None
        if self.centre is not None:
            near, gauss = self._around_centre(state, known)
            known = known & near
        n_places = scores.shape[2]
        at_steps = known.repeat_interleave(n_places, dim=1)
        weights: Tensor = shares_of_known(scores.flatten(1), at_steps).unflatten(1, (-1, n_places))
        return weights if gauss is None else weights * gauss[..., None]

    def _scores(
        self, state: Float[Tensor, "B 1 1 D"], states: Float[Tensor, "B L P D"]
    ) -> Float[Tensor, "B L P"]:
        if self.weigh is None:
            fitting = states if self.answer is None else self.answer(states)
            fits: Tensor = (state * fitting).sum(dim=-1)
            return fits
        if self.both is not None:
            together = self.both(torch.cat([state.expand_as(states), states.to(state.dtype)], -1))
        else:
            assert self.ask is not None
            assert self.answer is not None
            together = self.ask(state) + self.answer(states)
        scores: Tensor = self.weigh(together.tanh()).squeeze(-1)
        return scores

    def _around_centre(
        self, state: Float[Tensor, "B D"], known: Bool[Tensor, "B L"]
    ) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B L"]]:
        """Returns which steps are near the predicted centre, and a Gaussian around it."""
        assert self.centre is not None
        n_known = known.sum(dim=1, keepdim=True)
        last = known.shape[1] - 1
        share = self.centre(state).float().sigmoid()
        centre = last - (n_known - 1) * (1 - share)
        distance = torch.arange(last + 1, device=known.device) - centre
        gauss = (-(distance**2) / (2 * (self.half_width / 2) ** 2)).exp()
        return distance.abs() <= self.half_width, gauss

    def read(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B L columns"],
        entries: Float[Tensor, "B L E"],
    ) -> Float[Tensor, "B D"]:
        """Returns tanh(W_c [c; h]), c what is read through the map."""
        states = entries.unflatten(2, (-1, self.size))
        read = (attention_map[..., None] * states).sum(dim=(1, 2))
        state = self.state(features)
        combined: Tensor = self.combine(torch.cat([read.to(state.dtype), state], dim=1)).tanh()
        return combined
