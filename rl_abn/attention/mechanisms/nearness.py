"""Heads that look near by: relative positions that make attention a soft convolution at first."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Nearness(nn.Module):
    """What each head adds to the scores of all pairs of locations: -α |δ - Δ|².

    δ is how far the location that is looked at lies below and to the right of the one that looks, Δ
    a head's centre and α its strength, both learned (Cordonnier et al., ICLR 2020, eq. 9). At
    first the centres are a grid of neighbours around the location itself and α is 1 (d'Ascoli et
    al., ICML 2021, section 3), so attention begins as a blurred convolution and can widen.

    Args:
        heads: H.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        side = math.ceil(math.sqrt(heads))
        # Plain numbers: recipes are tried on the meta device, where sums load torch's compiler.
        grid = [divmod(i, side) for i in range(heads)]
        middle = [sum(place) / heads for place in zip(*grid, strict=True)]
        centres = [[down - middle[0], right - middle[1]] for down, right in grid]
        self.centres = nn.Parameter(torch.tensor(centres))
        self.strength = nn.Parameter(torch.ones(heads))

    def forward(self, height: int, width: int) -> Float[Tensor, "H N N"]:
        """Computes what is added, N = height * width locations, row by row."""
        places = torch.arange(height * width, device=self.centres.device)
        at = torch.stack([places // width, places % width], dim=1).to(self.centres.dtype)
        apart = (at[None] - at[:, None])[None] - self.centres[:, None, None]
        return -self.strength[:, None, None] * apart.square().sum(dim=-1)
