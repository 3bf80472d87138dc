"""What a network says about pictures as they are read, for videos and sheets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rl_abn.compute import Compute
from rl_abn.vision.models.network import VisionAttention, VisionNetwork

Prepare = Callable[[UInt8[Tensor, "B 3 H W"]], Float[Tensor, "B 3 H W"]]
"""From pictures as they are read to what the network was trained on."""

BATCH = 32
"""Pictures a network is shown at once."""


def look(
    network: VisionNetwork,
    images: UInt8[Tensor, "B 3 H W"],
    speed: Float[Tensor, " B"] | None = None,
    *,
    prepare: Prepare,
    compute: Compute | None = None,
) -> VisionAttention:
    """Asks a network about a batch of pictures, without gradients.

    Args:
        network: Which, in evaluation mode.
        images: The pictures as they are read.
        speed: The vehicle's as the network was trained, [B]; None for one that takes none.
        prepare: As the network was trained.
        compute: Precision; None is fp32.
    """
    compute = compute or Compute()
    device = next(network.parameters()).device
    with torch.no_grad(), compute.autocast(device):
        return network.attend(
            prepare(images.to(device)), None if speed is None else speed.to(device)
        )


def pixels_of(image: UInt8[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Returns a picture as it is drawn, uint8 [H, W, 3]."""
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
