"""Controls of a map: what its smoothness and its usual place are worth without its content.

A map that marks no better than these marks nothing: removal rewards smooth maps for being smooth,
and a screen has places where something always happens.
"""

from __future__ import annotations

import torch
from torch import Tensor

CONTROLS = ("another moment", "shifted", "blocks permuted", "same spectrum")
INVERSE = "inverse"


def controls_of(maps: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Returns the controls of maps [N, h, w], by name, and their inverse.

    "another moment" is the same function's map of another picture: all statistics are kept.
    "shifted" is moved by about a third, around the edges. "blocks permuted" has its blocks of about
    a third of the side in another order. "same spectrum" is random with the map's own spatial
    frequencies. "inverse" marks last what the map marks first.

    Args:
        maps: [N, h, w].
        seed: Of what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        "another moment": another_moment(maps, generator),
        "shifted": shifted(maps),
        "blocks permuted": blocks_permuted(maps, generator),
        "same spectrum": same_spectrum(maps, generator),
        INVERSE: -maps,
    }


def another_moment(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Returns every map in another picture's place, none in its own where there are two or more."""
    n = len(maps)
    order = torch.randperm(n, generator=generator)
    # One cycle through all in random order: nobody keeps its own.
    swapped = torch.empty(n, dtype=torch.int64)
    swapped[order] = order.roll(1)
    return maps[swapped.to(maps.device)]


def shifted(maps: Tensor) -> Tensor:
    """Returns maps moved down and right by about a third, around the edges."""
    height, width = maps.shape[1:]
    return maps.roll((-(-height // 3), -(-width // 3)), dims=(1, 2))


def blocks_permuted(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Returns maps whose blocks are in another order, drawn for each; edges may be left over."""
    n, height, width = maps.shape
    side = max(1, min(height, width) // 3)
    rows, columns = height // side, width // side
    inner = maps[:, : rows * side, : columns * side]
    blocks = inner.reshape(n, rows, side, columns, side).permute(0, 1, 3, 2, 4)
    blocks = blocks.reshape(n, rows * columns, side, side)
    order = torch.rand(n, rows * columns, generator=generator).argsort(dim=1).to(maps.device)
    blocks = blocks.gather(1, order[:, :, None, None].expand_as(blocks))
    mixed = blocks.view(n, rows, columns, side, side).permute(0, 1, 3, 2, 4)
    result = maps.clone()
    result[:, : rows * side, : columns * side] = mixed.reshape(n, rows * side, columns * side)
    return result


def same_spectrum(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Returns random maps with the amplitudes of each map's spatial frequencies."""
    amplitudes = torch.fft.fft2(maps.double()).abs()
    noise = torch.randn(maps.shape, generator=generator, dtype=torch.float64).to(maps.device)
    phases = torch.fft.fft2(noise)
    phases = phases / phases.abs().clamp_min(1e-12)
    # The mean is a frequency too, and keeps its sign.
    phases[:, 0, 0] = 1.0
    mixed: Tensor = torch.fft.ifft2(amplitudes * phases).real
    return mixed.to(maps.dtype)
