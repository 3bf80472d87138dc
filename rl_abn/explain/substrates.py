"""What stands in a picture where something was removed.

No substrate is neutral: each makes pictures that the network has not seen. So several are used, and
shown apart. "background" is made of the game itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SUBSTRATES = ("blur", "mean", "noise", "background")


def make_substrate(name: str, images: Tensor, generator: torch.Generator) -> Tensor:
    """Returns what replaces the pixels of pictures, [N, C, H, W].

    "blur": the picture itself, blurred (standard deviation a tenth of its height). "mean": the mean
    of all pixels of each channel over the pictures. "noise": that mean plus normal noise of the
    pixels' standard deviation. "background": the median over the pictures at each pixel, which
    shows what does not move.

    Args:
        name: Of `SUBSTRATES`.
        images: [N, C, H, W].
        generator: Of the noise, on the pictures' device.

    Raises:
        ValueError: If there is no such substrate.
    """
    if name == "blur":
        return blurred(images, images.shape[2] / 10)
    if name == "background":
        return images.median(dim=0, keepdim=True).values.expand_as(images)
    mean = images.mean(dim=(0, 2, 3), keepdim=True).expand_as(images)
    if name == "mean":
        return mean
    if name == "noise":
        spread = images.std(dim=(0, 2, 3), keepdim=True)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        return (mean + spread * noise).clamp(float(images.min()), float(images.max()))
    raise ValueError(f"expected a substrate of {list(SUBSTRATES)}, got '{name}'")


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Returns pictures [N, C, H, W] blurred by a Gaussian; edges are continued."""
    radius = max(1, min(round(2.5 * sigma), min(images.shape[2:]) - 1))
    at = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    n, channels, height, width = images.shape
    flat = images.reshape(n * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return flat.view_as(images)
