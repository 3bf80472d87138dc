"""The losses of CycleGAN (Zhu et al., ICCV 2017), and the one that keeps attention where it was."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rl_abn.attention import map_loss


def adversarial_loss(scores: Float[Tensor, "B 1 h w"]) -> Float[Tensor, ""]:
    """Computes mean (D(G(x)) - 1)² over patches: the generator's, of least squares.

    Args:
        scores: The discriminator's of translated pictures.
    """
    return (scores - 1.0).square().mean()


def discriminator_loss(
    scores: Float[Tensor, "B 1 h w"], translated_scores: Float[Tensor, "B 1 h w"]
) -> Float[Tensor, ""]:
    """Computes half of mean (D(y) - 1)² + mean D(G(x))².

    Args:
        scores: Of pictures of the domain.
        translated_scores: Of translated ones.
    """
    return 0.5 * ((scores - 1.0).square().mean() + translated_scores.square().mean())


def distance(
    pictures: Float[Tensor, "B 3 H W"], originals: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, ""]:
    """Computes mean |x' - x|; x' is F(G(x)) in the cycle loss and F(x) in the identity loss."""
    return F.l1_loss(pictures, originals)


def consistency_loss(
    maps: Float[Tensor, "B m h w"], originals: Float[Tensor, "B m h w"]
) -> Float[Tensor, ""]:
    """Computes ||M(G(x)) - M(x)||_2 of each picture, and their mean.

    The distance is that to edited maps, and M(x) a map that is given as those are: without
    gradients.

    Args:
        maps: The network's maps of translated pictures.
        originals: Its maps of the pictures that they were translated from.
    """
    every = torch.ones(len(maps), dtype=torch.bool, device=maps.device)
    return map_loss(maps, originals.detach(), every)
