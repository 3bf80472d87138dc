"""Deletion and insertion: what is lost when the cells a map marks go, what is won when they come.

Petsiuk, Das and Saenko, RISE (BMVC 2018). Every cell of the grid is one unit, whatever a map's own
resolution, and both are means over the fractions removed, so that more is better in both:

- deletion: the mean loss after the first cells by the map's order are removed;
- insertion: everything is removed, and the mean of the loss that the first cells put right.

Removal rewards smooth maps for being smooth (arXiv 2304.13836), so a number alone says little: it
is to be read beside the controls of `rl_abn.explain.controls`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.cells import cell_of_pixels, pixel_mask
from rl_abn.explain.responses import chosen, losses, variant_losses
from rl_abn.explain.subject import Answer, Subject

METRICS = ("deletion", "insertion")


class Removal(NamedTuple):
    """Deletion and insertion of maps over N pictures.

    Attributes:
        areas: By (map, substrate, metric, response): each picture's number, float64 [N].
        curves: By the same: mean loss (deletion) or mean loss put right (insertion) at each
            fraction, float64 [F].
        fractions: Of the cells, [F].
    """

    areas: dict[tuple[str, str, str, str], np.ndarray]
    curves: dict[tuple[str, str, str, str], np.ndarray]
    fractions: tuple[float, ...]


def fractions_of(n: int) -> tuple[float, ...]:
    """Returns n fractions from few cells to most: more of them at the beginning, 1 left out."""
    return tuple(((i + 1) / (n + 1)) ** 1.5 for i in range(n))


@torch.no_grad()
def removal(
    subject: Subject,
    maps: Mapping[str, Tensor],
    substrates: Mapping[str, Tensor],
    fractions: Sequence[float],
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Removal:
    """Measures deletion and insertion of maps.

    Args:
        subject: What is explained.
        maps: By name, [N, h, w] of its grid; higher is more important. Equal cells are taken in
            random order.
        substrates: By name, [N, C, H, W].
        fractions: Of the cells, each in 0..1.
        seed: Of the order of equal cells.
        tick: Told how many passes were made, after each map and substrate.
    """
    own = subject.answers()
    choice = chosen(own)
    n = len(fractions)
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)
    areas: dict[tuple[str, str, str, str], np.ndarray] = {}
    curves: dict[tuple[str, str, str, str], np.ndarray] = {}
    everything = {
        name: losses(own, subject.answers(sub), choice) for name, sub in substrates.items()
    }
    for map_name, attention_map in maps.items():
        ranks = ranks_of(attention_map, seed)
        counts = [max(1, round(fraction * ranks.shape[1])) for fraction in fractions]
        first = torch.tensor(counts, device=subject.device)
        for substrate, replaced in substrates.items():

            def make(
                variant: Tensor,
                number: Tensor,
                ranks: Tensor = ranks,
                replaced: Tensor = replaced,
                first: Tensor = first,
            ) -> Tensor:
                marked = ranks[number] < first[variant % n][:, None]
                inserts = (variant >= n)[:, None]
                kept = pixel_mask(marked == inserts, cells)
                return torch.where(kept, subject.images[number], replaced[number])

            lost = variant_losses(own, subject.variants(2 * n, make), choice, 2 * n)
            for response, loss in lost.items():
                put_right = everything[substrate][response] - loss[n:]
                for metric, values in zip(METRICS, (loss[:n], put_right), strict=True):
                    key = map_name, substrate, metric, response
                    areas[key] = values.mean(dim=0).cpu().numpy()
                    curves[key] = values.mean(dim=1).cpu().numpy()
            if tick is not None:
                tick(2 * n * subject.n)
    return Removal(areas, curves, tuple(fractions))


def ranks_of(maps: Tensor, seed: int = 0) -> Tensor:
    """Returns each cell's place in the order from the highest value, int64 [N, h * w].

    Cells of equal value come in random order: a flat map marks nothing.
    """
    flat = maps.flatten(1).double().cpu()
    generator = torch.Generator().manual_seed(seed)
    shuffle = torch.rand(flat.shape, generator=generator).argsort(dim=1)
    order = flat.gather(1, shuffle).argsort(dim=1, descending=True, stable=True)
    order = shuffle.gather(1, order)
    return order.argsort(dim=1).to(maps.device)


def subset_losses(
    subject: Subject,
    own: Answer,
    removed: Tensor,
    substrate: Tensor,
) -> dict[str, Tensor]:
    """Returns what is lost when sets of cells are removed, by response, each [N, K].

    Args:
        subject: What is explained.
        own: Its answer to the pictures as they are.
        removed: Which cells go, bool [N, K, h * w].
        substrate: What stands there then, [N, C, H, W].
    """
    k = removed.shape[1]
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)
    removed = removed.to(subject.device)

    def make(variant: Tensor, number: Tensor) -> Tensor:
        gone = pixel_mask(removed[number, variant], cells)
        return torch.where(gone, substrate[number], subject.images[number])

    lost = variant_losses(own, subject.variants(k, make), chosen(own), k)
    return {response: loss.T for response, loss in lost.items()}
