"""An LSTM that asks a feature map where to look, and remembers what it read there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_abn.attention import AdditiveAttention, MapOverride, apply, one_hot_map, override_map
from rl_abn.networks.memory import Lstm, State, forget

GlimpseSampler = Callable[[Tensor], Tensor]
"""From the log-probabilities of places [n, L] to the places looked at, int64 [n]."""


class GlimpseOutput(NamedTuple):
    """Where it looked in T steps of n games, B = T * n, and what it knows now.

    Attributes:
        output: The LSTM's output, [B, H].
        map: What it read through, [B, 1, h, w]; it sums to 1 if nobody changed it.
        glimpse_logits: What a hard look draws from, log-probabilities [B, L], in fp32; else None.
        glimpse: The places it looked at, int64 [B]; else None.
    """

    output: Tensor
    map: Tensor
    glimpse_logits: Tensor | None
    glimpse: Tensor | None


class RecurrentAttention(nn.Module):
    """The decoder of Show, Attend and Tell (Xu et al., ICML 2015) on the screens of a game.

    What the LSTM put out before asks, every place of the feature map answers, and what is read
    there is the LSTM's next input: as a mean weighed by the map ("soft"), or at one place drawn
    from it ("hard"). In DARQN's form (Sorokin et al. 2015) it sees nothing else of the screen. A
    place also says where it is, by its coordinates in -1..1, which a caption may do without and
    a game may not.

    Args:
        mechanism: "soft" or "hard".
        in_channels: C, channels of the features.
        hidden: H, size of the memory, and of the space where places and query meet.
    """

    def __init__(self, mechanism: str, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.glimpses = AdditiveAttention(in_channels + 2, hidden, hidden)
        self.lstm = Lstm(in_channels + 2, hidden)

    def forward(
        self,
        features: Tensor,
        state: State | None,
        reset_mask: Tensor | None = None,
        map_override: MapOverride | None = None,
        choose: Tensor | GlimpseSampler | None = None,
    ) -> tuple[GlimpseOutput, State]:
        """Looks once a step at T steps of n games.

        Args:
            features: [T * n, C, h, w], all first steps first.
            state: What was remembered before the first step; None is nothing.
            reset_mask: True where the memory is emptied before the step, [T, n]; None is one step,
                without.
            map_override: Maps to read through instead of its own.
            choose: The places to look at, int64 [T * n], or how they are chosen; None takes the
                likeliest. A soft look takes no notice.

        Returns:
            The looks, and what is remembered now.
        """
        n_steps = 1 if reset_mask is None else len(reset_mask)
        height, width = features.shape[2:]
        features = torch.cat([features, _coordinates(features)], dim=1)
        if isinstance(map_override, Tensor):
            empty = features[:, :1]
            map_override = override_map(empty, map_override).unflatten(0, (n_steps, -1))
        what = features.unflatten(0, (n_steps, -1))
        keys = self.glimpses.keys(features).unflatten(0, (n_steps, -1))
        given = choose.unflatten(0, (n_steps, -1)) if isinstance(choose, Tensor) else choose
        if state is None:
            state = self.lstm.initial_state(what.shape[1])
        looks = []
        for t in range(n_steps):
            if reset_mask is not None:
                state = forget(state, reset_mask[t])  # type: ignore[assignment]
            glimpse_logits = self.glimpses(keys[t], state[0])
            if self.mechanism == "soft":
                place = None
                own = glimpse_logits.exp().view(-1, 1, height, width)
            else:
                place = _chosen(glimpse_logits, given[t] if isinstance(given, Tensor) else given)
                own = one_hot_map(place, height, width, like=features)
            override = map_override[t] if isinstance(map_override, Tensor) else map_override
            attention_map = override_map(own, override)
            read = apply(self.mechanism, what[t], attention_map)
            output, state = self.lstm(read.flatten(1), state)
            drawn_from = None if place is None else glimpse_logits
            looks.append(GlimpseOutput(output, attention_map, drawn_from, place))
        return GlimpseOutput(*map(_joined, zip(*looks, strict=True))), state  # type: ignore[arg-type]


def _joined(steps: tuple[Tensor | None, ...]) -> Tensor | None:
    """Joins the steps of one field of a look."""
    found = [step for step in steps if step is not None]
    return torch.cat(found) if found else None


def _chosen(glimpse_logits: Tensor, choose: Tensor | GlimpseSampler | None) -> Tensor:
    if choose is None:
        return glimpse_logits.argmax(dim=1)
    return choose if isinstance(choose, Tensor) else choose(glimpse_logits)


def _coordinates(features: Tensor) -> Tensor:
    """Returns x and y of every place, -1..1, [B, 2, h, w]."""
    batch, _, height, width = features.shape
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=features.device),
        torch.linspace(-1, 1, width, device=features.device),
        indexing="ij",
    )
    return torch.stack([x, y]).to(features.dtype).expand(batch, 2, height, width)
