"""The map-override door: interventions, what-if and edited maps all come in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

MapOverride = Tensor | Callable[[Tensor], Tensor]
"""Maps to use instead, broadcastable to [B, m, h, w], or a function of the agent's own maps."""


def as_override(maps: Any) -> MapOverride:
    """Returns an override of an array, nested lists, a tensor, or a function that returns one.

    The function gets the own maps in float32 on the CPU, which NumPy takes.

    Raises:
        ValueError: If it is none of these; for a function, when it is called.
    """
    if callable(maps) and not isinstance(maps, Tensor):
        return lambda own: _as_tensor(maps(own.float().cpu()))
    return _as_tensor(maps)


def _as_tensor(maps: Any) -> Tensor:
    if isinstance(maps, Tensor):
        return maps
    try:
        # A copy of an array: torch takes no views with negative strides, such as a flipped map.
        return torch.as_tensor(maps.__array__().copy() if hasattr(maps, "__array__") else maps)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            "expected a map as an array, a tensor or a function of the own maps, "
            f"got {type(maps).__name__}"
        ) from None


def override_map(
    attention_map: Float[Tensor, "B m h w"], override: MapOverride | None
) -> Float[Tensor, "B m h w"]:
    """Returns the maps the agent is to act on.

    Args:
        attention_map: The agent's own maps, [B, m, h, w], in 0..1.
        override: None keeps them.

    Raises:
        ValueError: If the override does not broadcast to the maps' shape.
    """
    if override is None:
        return attention_map
    new = override if isinstance(override, Tensor) else override(attention_map)
    try:
        return new.to(attention_map).expand_as(attention_map)
    except RuntimeError:
        raise ValueError(
            f"expected a map that broadcasts to {tuple(attention_map.shape)}, "
            f"got {tuple(new.shape)}"
        ) from None
