"""The map-override door: interventions, what-if and edited maps all come in here."""

from __future__ import annotations

from collections.abc import Callable

import torch
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


def zero(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks nowhere."""
    return torch.zeros_like(attention_map)


def uniform(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks everywhere alike: each map's own mean in every place, so its mass is kept."""
    return attention_map.mean(dim=(2, 3), keepdim=True).expand_as(attention_map)


def inverted(attention_map: Float[Tensor, "B m h w"]) -> Float[Tensor, "B m h w"]:
    """Looks where the agent did not: 1 - M."""
    return 1.0 - attention_map


def shuffled(
    attention_map: Float[Tensor, "B m h w"], generator: torch.Generator | None = None
) -> Float[Tensor, "B m h w"]:
    """Keeps each map's values and puts them in random places, anew for every sample and map."""
    flat = attention_map.flatten(2)
    keys = torch.rand(flat.shape, generator=generator, device=flat.device)
    return flat.gather(2, keys.argsort(dim=2)).view_as(attention_map)
