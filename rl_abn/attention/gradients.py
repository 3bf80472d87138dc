"""How much of a gradient passes a point of the network."""

from __future__ import annotations

from torch import Tensor


def scale_gradient(inputs: Tensor, scale: float) -> Tensor:
    """Returns a tensor as it is, through which gradients pass times `scale`."""
    if scale == 1.0:
        return inputs
    held = inputs.detach()
    return held if scale == 0.0 else held + scale * (inputs - held)
