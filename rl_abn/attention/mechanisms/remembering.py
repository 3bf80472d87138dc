"""Attention to earlier steps of a game: what mechanisms of that kind declare and share."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, Mechanism, no_answer
from rl_abn.attention.mechanisms.pairs import shares


class RememberingMechanism(Mechanism):
    """Writes an entry at every step of a game, and reads those of the last L steps.

    Whoever runs it keeps the entries: `write` says what is kept of a step, and `forward` gets those
    of the last steps, the step itself among them, which is the last. Maps are [B, 1, rows, columns]
    with a row a step, the oldest first, and those of heads or hops below each other; all of a map's
    values sum to 1. What was read, [B, D], is brought to C channels and added to the features at
    every location.

    Args:
        site: Where it attaches; the size of its features is known.
        length: L, steps that it can look back to, with the step itself.
        size: D, numbers that the features of a step are embedded in.

    Attributes:
        length: L.
        entry_size: E, numbers in an entry.

    Raises:
        ValueError: If a number is below 1, or the site does not know the size of its features.
    """

    abilities: ClassVar[Abilities] = Abilities(
        maps="temporal", splits=False, sums_to_one=True, any_channels=False, remembers=True
    )
    entry_size: int

    def __init__(self, site: AttentionSite, *, length: int = 16, size: int = 64) -> None:
        super().__init__()
        if length < 1 or size < 1:
            raise ValueError(f"expected a length and a size from 1, got {length} and {size}")
        if site.map_size is None:
            raise ValueError(
                f"expected features of a known size for {type(self).__name__}, got any"
            )
        self.length, self.size = length, size
        self.n_features = site.channels * math.prod(site.map_size)
        self.out = nn.Linear(size, site.channels)

    def write(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E"]:
        """Computes what is kept of a step."""
        raise NotImplementedError

    def look(
        self,
        features: Float[Tensor, "B C h w"],
        entries: Float[Tensor, "B L E"],
        known: Bool[Tensor, "B L"],
    ) -> Float[Tensor, "B rows columns"]:
        """Computes the map."""
        raise NotImplementedError

    def read(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B rows columns"],
        entries: Float[Tensor, "B L E"],
    ) -> Float[Tensor, "B D"]:
        """Reads the entries through a map."""
        raise NotImplementedError

    def forward(
        self,
        features: Float[Tensor, "B C h w"],
        entries: Float[Tensor, "B L E"] | None = None,
        known: Bool[Tensor, "B L"] | None = None,
    ) -> Attention:
        """Computes the map, [B, 1, rows, columns]; the entries are the gate's context.

        Args:
            features: Of this step.
            entries: Of the last L steps; None is a game's first step.
            known: Which of them there were.
        """
        if entries is None or known is None:
            entries, known = self._first_step(features)
        return no_answer(features, self.look(features, entries, known)[:, None], entries)

    def gate(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B 1 rows columns"],
        *context: Tensor,
    ) -> Float[Tensor, "B C h w"]:
        """Returns the features plus what was read, [B, C, h, w]; the context is the entries."""
        (entries,) = context
        found: Tensor = self.out(self.read(features, attention_map[:, 0], entries))
        return features + found[:, :, None, None]

    def quiet_layers(self) -> tuple[nn.Module, ...]:
        """Returns what adds to the features: at first they pass almost as they are."""
        return (self.out,)

    def _first_step(self, features: Tensor) -> tuple[Tensor, Tensor]:
        entry = self.write(features).float()[:, None]
        nothing = entry.new_zeros(len(entry), self.length - 1, self.entry_size)
        known = torch.zeros(len(entry), self.length, dtype=torch.bool, device=entry.device)
        known[:, -1] = True
        return torch.cat([nothing, entry], dim=1), known


class StepEmbedding(nn.Sequential):
    """Embeds the features of a step, [B, C, h, w], in [B, D] numbers.

    Args:
        n_features: C * h * w.
        size: D.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(n_features, size))


def shares_of_known(
    scores: Float[Tensor, "B *other L"], known: Bool[Tensor, "B L"]
) -> Float[Tensor, "B *other L"]:
    """Returns a softmax over the steps that there were."""
    return shares(scores, known.view(len(known), *[1] * (scores.ndim - 2), -1))
