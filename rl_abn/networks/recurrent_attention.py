"""An LSTM whose state queries a feature map and reads what lies there: glimpses over time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_abn.attention import (
    GlimpseSampler,
    MapOverride,
    QueriedMechanism,
    override_map,
)
from rl_abn.networks.memory import Lstm, State, forget

N_COORDINATES = 2
"""Channels that say where a location is, x and y; they are added to the features."""


class GlimpseOutput(NamedTuple):
    """Where the network looked in T steps of n games, B = T * n, and the LSTM's outputs.

    Attributes:
        output: The LSTM's output, [B, H].
        map: What it read the features through, [B, 1, h, w]; sums to 1 unless overridden.
        glimpse_logits: Log-probabilities the locations were sampled from, fp32 [B, L]; None for
            a mechanism that samples none.
        glimpse: The locations it looked at, int64 [B], or None.
    """

    output: Tensor
    map: Tensor
    glimpse_logits: Tensor | None
    glimpse: Tensor | None


class RecurrentAttention(nn.Module):
    """The decoder of Show, Attend and Tell (Xu et al., ICML 2015) on the frames of a game.

    The LSTM's last output is the query. The mechanism makes a map for it, and what is read
    through the map is the LSTM's next input. In DARQN's form (Sorokin et al. 2015) the LSTM gets
    nothing else of the frame. Two channels with the coordinates of every location, -1..1, are
    added to the features, so that the LSTM knows where it looked.

    Args:
        glimpses: The mechanism, for features with `N_COORDINATES` channels more and a query of
            size H.
        in_channels: C, channels of the features.
        hidden: H, size of the memory.
    """

    def __init__(self, glimpses: QueriedMechanism, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.glimpses = glimpses
        self.lstm = Lstm(in_channels + N_COORDINATES, hidden)

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
            state: The memory before the first step; None is an empty one.
            reset_mask: True where the memory is emptied before the step, [T, n]; None is one step,
                without.
            map_override: Maps to read through instead of its own.
            choose: The locations to look at, int64 [T * n], or how they are chosen; None takes the
                most probable. A mechanism that samples none ignores it.

        Returns:
            Maps and outputs of all steps, and the memory after the last one.
        """
        n_steps = 1 if reset_mask is None else len(reset_mask)
        features = torch.cat([features, _coordinates(features)], dim=1)
        if isinstance(map_override, Tensor):
            empty = features[:, :1]
            map_override = override_map(empty, map_override).unflatten(0, (n_steps, -1))
        steps = features.unflatten(0, (n_steps, -1))
        keys = self.glimpses.keys(features).unflatten(0, (n_steps, -1))
        given = choose.unflatten(0, (n_steps, -1)) if isinstance(choose, Tensor) else choose
        if state is None:
            state = self.lstm.initial_state(steps.shape[1])
        outputs = []
        for t in range(n_steps):
            if reset_mask is not None:
                state = forget(state, reset_mask[t])  # type: ignore[assignment]
            chosen = given[t] if isinstance(given, Tensor) else given
            glimpse = self.glimpses.glimpse(keys[t], state[0], chosen)
            override = map_override[t] if isinstance(map_override, Tensor) else map_override
            attention_map = override_map(glimpse.map, override)
            read = self.glimpses.gate(steps[t], attention_map)
            output, state = self.lstm(read.flatten(1), state)
            outputs.append(GlimpseOutput(output, attention_map, glimpse.logits, glimpse.location))
        return GlimpseOutput(*map(_joined, zip(*outputs, strict=True))), state  # type: ignore[arg-type]


def _joined(steps: tuple[Tensor | None, ...]) -> Tensor | None:
    """Concatenates one field over the steps."""
    found = [step for step in steps if step is not None]
    return torch.cat(found) if found else None


def _coordinates(features: Tensor) -> Tensor:
    """Returns x and y of every location, -1..1, [B, 2, h, w]."""
    batch, _, height, width = features.shape
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=features.device),
        torch.linspace(-1, 1, width, device=features.device),
        indexing="ij",
    )
    return torch.stack([x, y]).to(features.dtype).expand(batch, 2, height, width)
