"""Maps by perturbation: occlusion, RISE, SARFA, and the perturbation of Greydanus et al."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rl_abn.explain.cells import cell_of_pixels, pixel_mask
from rl_abn.explain.responses import chosen, variant_losses
from rl_abn.explain.subject import Answer, Subject
from rl_abn.explain.substrates import blurred


def cell_answers(subject: Subject, substrate: Tensor) -> Answer:
    """Asks with one cell removed after the other, row by row: h * w variants of every picture.

    Args:
        subject: What is explained.
        substrate: What stands in the cell then, [N, C, H, W].
    """
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)

    def make(variant: Tensor, number: Tensor) -> Tensor:
        gone = (cells[None] == variant[:, None, None])[:, None]
        return torch.where(gone, substrate[number], subject.images[number])

    return subject.variants(subject.grid[0] * subject.grid[1], make)


def occlusion(own: Answer, without: Answer, grid: tuple[int, int]) -> Tensor:
    """Returns the loss of the choice's log-odds, or of the value, without each cell, [N, h, w].

    Zeiler and Fergus (ECCV 2014).

    Args:
        own: The answer to the pictures as they are.
        without: As `cell_answers` returns it.
        grid: h and w.
    """
    lost = variant_losses(own, without, chosen(own), grid[0] * grid[1])
    name = "log_odds" if own.logits is not None else "value"
    return lost[name].T.reshape(-1, *grid).float()


def sarfa(own: Answer, without: Answer, grid: tuple[int, int]) -> Tensor:
    """Computes SARFA, specific and relevant feature attribution (Puri et al., ICLR 2020).

    The harmonic mean of how much less the choice is taken without a cell, and of how little the
    other choices change among themselves. In place of softmaxed Q values stand the policy's
    probabilities.

    Args:
        own: The answer to the pictures as they are; it has logits of two choices or more.
        without: As `cell_answers` returns it.
        grid: h and w.

    Returns:
        [N, h, w] in 0..1.
    """
    assert own.logits is not None
    assert without.logits is not None
    n, k = own.logits.shape
    choice = own.logits.argmax(dim=1)
    others = torch.arange(k, device=choice.device)[None] != choice[:, None]
    now = without.logits.view(-1, n, k)
    before = own.logits.softmax(dim=1)[~others]
    drop = (before - now.softmax(dim=2)[:, ~others]).clamp_min(0.0)
    rest = own.logits[others].view(n, k - 1).log_softmax(dim=1)
    rest_now = now[:, others].view(-1, n, k - 1).log_softmax(dim=2)
    change = (rest_now.exp() * (rest_now - rest)).sum(dim=2).clamp_min(0.0)
    relevance = 1.0 / (1.0 + change)
    scores = 2 * drop * relevance / (drop + relevance).clamp_min(1e-12)
    return scores.T.reshape(n, *grid)


def greydanus(subject: Subject, own: Answer, sigma: float | None = None) -> Tensor:
    """Computes the saliency of Greydanus et al. (ICML 2018), [N, h, w].

    Around the centre of each cell the picture is blurred, by a soft mask of standard deviation
    `sigma`; the saliency is half the squared change of the logits, or of the value.

    Args:
        subject: What is explained.
        own: Its answer to the pictures as they are.
        sigma: In pixels; None is the published 5 of 84.
    """
    height, width = subject.images.shape[2:]
    sigma = 5.0 * height / 84 if sigma is None else sigma
    change = blurred(subject.images, 3.0 * height / 84) - subject.images
    rows = (torch.arange(height, device=subject.device) + 0.5)[:, None]
    columns = (torch.arange(width, device=subject.device) + 0.5)[None]
    h, w = subject.grid

    def make(variant: Tensor, number: Tensor) -> Tensor:
        y = (variant // w + 0.5) * height / h
        x = (variant % w + 0.5) * width / w
        far = (rows - y[:, None, None]) ** 2 + (columns - x[:, None, None]) ** 2
        mask = torch.exp(-far / (2 * sigma**2))[:, None]
        return subject.images[number] + mask * change[number]

    now = subject.variants(h * w, make)
    if own.logits is not None and now.logits is not None:
        moved = (now.logits.view(-1, *own.logits.shape) - own.logits).pow(2).sum(dim=2)
    else:
        assert own.value is not None
        assert now.value is not None
        moved = (now.value.view(-1, subject.n) - own.value).pow(2)
    return 0.5 * moved.T.reshape(-1, h, w)


def rise(
    subject: Subject, own: Answer, substrate: Tensor, n_masks: int = 128, seed: int = 0
) -> Tensor:
    """Computes RISE (Petsiuk et al., BMVC 2018), [N, h, w].

    The mean of random smooth masks, weighted by how little is lost when only what they keep is
    shown. The masks are of a grid of half as many cells, each kept with probability 1/2; the
    original shows nothing elsewhere, here it is the substrate.

    Args:
        subject: What is explained.
        own: Its answer to the pictures as they are.
        substrate: What stands where a mask hides the picture, [N, C, H, W].
        n_masks: How many masks, the same for all pictures.
        seed: Of the masks.
    """
    generator = torch.Generator().manual_seed(seed)
    h, w = subject.grid
    coarse = (max(2, -(-h // 2)), max(2, -(-w // 2)))
    kept = (torch.rand(n_masks, 1, *coarse, generator=generator) < 0.5).float()
    masks = F.interpolate(kept, (h, w), mode="bilinear", align_corners=True).view(n_masks, -1)
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)
    masks = masks.to(subject.device)
    change = subject.images - substrate

    def make(variant: Tensor, number: Tensor) -> Tensor:
        shown = pixel_mask(masks[variant], cells)
        return substrate[number] + shown * change[number]

    lost = variant_losses(own, subject.variants(n_masks, make), chosen(own), n_masks)
    scores = -lost["log_odds" if own.logits is not None else "value"]
    scores = (scores - scores.mean(dim=0, keepdim=True)).float()
    centred = masks - masks.mean(dim=0, keepdim=True)
    return (scores.T @ centred).view(-1, h, w) / n_masks
