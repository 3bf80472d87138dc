"""How a map gates the features. A mechanism is one file and one line in `MECHANISMS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from rl_abn.attention.mechanisms.hard import hard, one_hot_map
from rl_abn.attention.mechanisms.mask import mask
from rl_abn.attention.mechanisms.none import none
from rl_abn.attention.mechanisms.residual import residual
from rl_abn.attention.mechanisms.soft import soft

Mechanism = Callable[[Tensor, Tensor], Tensor]

MECHANISMS: Mapping[str, Mechanism] = {
    "residual": residual,
    "mask": mask,
    "soft": soft,
    "hard": hard,
    "none": none,
}

QUERIED = ("soft", "hard")
"""Mechanisms whose maps answer a query: one that asks, an LSTM's state, has to be there."""

__all__ = ["MECHANISMS", "QUERIED", "Mechanism", "apply", "one_hot_map"]


def apply(
    mechanism: str,
    features: Float[Tensor, "B C h w"],
    attention_map: Float[Tensor, "B one h w"],
) -> Float[Tensor, "B C _h _w"]:
    """Gates features with one map, or reads what is where it lies.

    Args:
        mechanism: A name in `MECHANISMS`.
        features: [B, C, h, w].
        attention_map: [B, 1, h, w], in 0..1.

    Returns:
        The features gated, [B, C, h, w]; of a mechanism in `QUERIED` what was read, [B, C, 1, 1].

    Raises:
        ValueError: If there is no mechanism of that name.
    """
    try:
        gate = MECHANISMS[mechanism]
    except KeyError:
        raise ValueError(f"expected a mechanism of {list(MECHANISMS)}, got '{mechanism}'") from None
    return gate(features, attention_map)
