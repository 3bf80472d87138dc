"""Pooling that weighs every place of a map, for answers that depend on where something is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class WeightedGlobalPooling(nn.Module):
    """Turns each evidence map into one number with a weight a place (Mori et al., IV 2019).

    It is a convolution whose kernels are as large as the map: one kernel and one bias an answer,
    and each answer reads its own evidence alone, so that evidence says what speaks for what here
    as under average pooling. For regression, where the same thing on the left and on the right
    means different answers.

    All weights are 1 / (h * w) at first, which is global average pooling. They are a layer's
    weights like any other: kept relative to the average instead, they would learn hundreds of
    times slower under Adam, whose steps are of one size.

    Args:
        n_outputs: K, the number of answers.
        size: h and w of the map.

    Raises:
        ValueError: If a count is below 1.
    """

    def __init__(self, n_outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        if min(n_outputs, *size) < 1:
            raise ValueError(f"expected counts of 1 or more, got {n_outputs} answers, {size}")
        self.kernel = nn.Parameter(torch.full((n_outputs, *size), 1.0 / (size[0] * size[1])))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, evidence: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K"]:
        """Pools evidence [B, K, h, w] to answers [B, K].

        Raises:
            ValueError: If the evidence has another size than the weights.
        """
        if evidence.shape[1:] != self.kernel.shape:
            raise ValueError(
                f"expected evidence of {tuple(self.kernel.shape)}, got {tuple(evidence.shape[1:])}"
            )
        return (evidence * self.kernel).sum(dim=(2, 3)) + self.bias
