"""The map-override door: interventions, what-if and edited maps all come in here."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

MapOverride = Tensor | Callable[[Tensor], Tensor]
"""Maps to use instead, broadcastable to [B, m, h, w], or a function of the agent's own maps."""


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
