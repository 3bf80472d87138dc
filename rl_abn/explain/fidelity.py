"""F-Fidelity: removal on a copy of the function that has learnt to see pictures with holes.

Zheng et al. (ICLR 2025). Plain removal asks about pictures that were never seen, so what is lost
may be the shock of the hole. Here a copy is fine-tuned under random masks of at most a share of
the cells, and then no more than that share is removed: the cells that a map marks (what is lost
should be much), and those that it marks least (little). A map's number is the difference.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_abn.explain.cells import cell_of_pixels, pixel_mask
from rl_abn.explain.removal import removal
from rl_abn.explain.subject import Answer, Subject

SHARE = 0.4
"""Of the cells that are masked and removed, at most; alpha of the paper."""
BATCH = 32
LEARNING_RATE = 1e-4

Masked = Callable[[], tuple[Tensor, Tensor]]
"""Draws a batch of pictures with random holes, [B, C, H, W], and their numbers, int64 [B]."""
FineTune = Callable[[nn.Module, Subject, Masked], None]
"""Trains a module; the subject asks it."""


def masked_pictures(
    subject: Subject,
    substrates: Sequence[Tensor],
    seed: int = 0,
    share: float = SHARE,
    batch: int = BATCH,
) -> Masked:
    """Returns what draws pictures with holes: each hides a random share of cells up to `share`.

    Args:
        subject: Whose pictures.
        substrates: What may stand in the holes, [N, C, H, W] each; one of them in each batch.
        seed: Of the draws.
        share: Of the cells, at most.
        batch: B.
    """
    generator = torch.Generator().manual_seed(seed)
    n_cells = subject.grid[0] * subject.grid[1]
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)

    def draw() -> tuple[Tensor, Tensor]:
        numbers = torch.randint(subject.n, (batch,), generator=generator)
        gone = share * torch.rand(batch, 1, generator=generator)
        order = torch.rand(batch, n_cells, generator=generator).argsort(dim=1).argsort(dim=1)
        hidden = (order < gone * n_cells).to(subject.device)
        which = int(torch.randint(len(substrates), (1,), generator=generator))
        numbers = numbers.to(subject.device)
        holes = pixel_mask(hidden, cells)
        return torch.where(holes, substrates[which][numbers], subject.images[numbers]), numbers

    return draw


def distillation(
    own: Answer,
    n_steps: int,
    learning_rate: float = LEARNING_RATE,
    tick: Callable[[int], None] | None = None,
) -> FineTune:
    """Returns a fine-tune function: the copy learns the first answers from masked pictures.

    Args:
        own: The function's answers to the pictures as they are.
        n_steps: Steps of Adam.
        learning_rate: Of these.
        tick: Told how many pictures were asked about, after each step.
    """

    def fine_tune(module: nn.Module, asked: Subject, draw: Masked) -> None:
        weights = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(weights, lr=learning_rate)
        spread = None if own.value is None else own.value.var(correction=0).clamp_min(1e-8)
        for _ in range(n_steps):
            pictures, numbers = draw()
            answer = asked.ask(pictures, numbers)
            loss = pictures.new_zeros(())
            if own.logits is not None and answer.logits is not None:
                target = own.logits[numbers].softmax(dim=1)
                loss = loss + F.cross_entropy(answer.logits, target)
            if own.value is not None and answer.value is not None and spread is not None:
                loss = loss + F.mse_loss(answer.value, own.value[numbers]) / spread
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if tick is not None:
                tick(3 * len(pictures))

    return fine_tune


def fine_tuned(subject: Subject, draw: Masked, fine_tune: FineTune) -> Subject:
    """Returns the subject with a fine-tuned copy of its weights; its own stay as they are."""
    assert subject.rebuilt is not None
    module = copy.deepcopy(subject.module)
    asked = subject.rebuilt(module)
    with torch.enable_grad():
        fine_tune(module, asked, draw)
    return asked


def fidelity(
    tuned: Subject,
    maps: Mapping[str, Tensor],
    substrates: Mapping[str, Tensor],
    n_fractions: int,
    seed: int = 0,
    share: float = SHARE,
    tick: Callable[[int], None] | None = None,
) -> dict[tuple[str, str, str], np.ndarray]:
    """Measures what is lost without what maps mark most, minus without what they mark least.

    Args:
        tuned: As `fine_tuned` returns it.
        maps: By name, [N, h, w] of its grid.
        substrates: By name, [N, C, H, W].
        n_fractions: Fractions of the cells, evenly up to `share`.
        seed: Of the order of equal cells.
        share: Of the cells that are removed, at most.
        tick: Told how many passes were made.

    Returns:
        By (map, substrate, response): each picture's number, float64 [N]; more is better.
    """
    fractions = [share * (i + 1) / n_fractions for i in range(n_fractions)]
    found = {}
    for name, attention_map in maps.items():
        both = {"most": attention_map, "least": -attention_map}
        areas = removal(tuned, both, substrates, fractions, seed, tick).areas
        for (which, substrate, metric, response), values in areas.items():
            if (which, metric) == ("most", "deletion"):
                least = areas["least", substrate, metric, response]
                found[name, substrate, response] = values - least
    return found
