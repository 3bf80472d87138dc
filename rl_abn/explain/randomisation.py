"""Does a map depend on what the network learned? Smoothed parameter randomisation.

Adebayo et al. (NeurIPS 2018) draw the weights anew, layer by layer from the output down, and watch
the map change. Hedström et al. (2024, sMPRT) average maps over noisy pictures first, since noise
in the maps alone lowers the similarity.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rl_abn.explain.sensitivity import correlation
from rl_abn.explain.subject import Subject

MakeMap = Callable[[Subject], Tensor]
"""From a subject to a map of its pictures, [N, h, w]."""


class Randomisation(NamedTuple):
    """How alike a map stays.

    Attributes:
        layers: Names of the last layer of each step, from the output down.
        similarity: Spearman's correlation with the map of the trained network after this layer and
            all above were drawn anew, float64 [L, N].
        unrelated: The same between maps of different pictures of the trained network, [N]: what a
            map that is always the same would keep.
    """

    layers: tuple[str, ...]
    similarity: np.ndarray
    unrelated: np.ndarray


def layers_of(module: nn.Module) -> list[str]:
    """Returns the names of the layers with weights, in the order in which they were made."""
    return [
        name
        for name, part in module.named_modules()
        if next(part.parameters(recurse=False), None) is not None
    ]


@torch.no_grad()
def draw_anew(module: nn.Module, layer: str, generator: torch.Generator) -> None:
    """Draws a layer's weights anew, normal with the mean and spread that they had."""
    for parameter in module.get_submodule(layer).parameters(recurse=False):
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        spread = parameter.std() if parameter.numel() > 1 else torch.zeros(())
        spread = spread if spread > 0 else parameter.abs().mean()
        parameter.copy_(parameter.mean() + spread * noise)


def parameter_randomisation(
    subject: Subject,
    makers: dict[str, MakeMap],
    *,
    n_noisy: int = 4,
    noise: float = 0.02,
    seed: int = 0,
    most_steps: int | None = None,
    tick: Callable[[str], None] | None = None,
) -> dict[str, Randomisation]:
    """Measures how maps change while the weights are drawn anew, layer by layer from the output.

    Args:
        subject: What is explained; it can be rebuilt.
        makers: By name, what makes the maps.
        n_noisy: How many noisy copies of the pictures a map is averaged over.
        noise: Their standard deviation, as a share of the pixels' range.
        seed: Of the noise and the weights.
        most_steps: At most so many steps; of more layers, several are drawn anew in a step.
        tick: Told the last layer of each step when it is done.
    """
    assert subject.rebuilt is not None
    weights = copy.deepcopy(subject.module)
    order = list(reversed(layers_of(weights)))
    n_steps = min(len(order), most_steps or len(order))
    steps = [list(some) for some in np.array_split(np.array(order), n_steps)]
    generator = torch.Generator().manual_seed(seed)
    spread = noise * float(subject.images.max() - subject.images.min())
    pictures = [
        subject.images
        + spread * torch.randn(subject.images.shape, generator=generator).to(subject.images)
        for _ in range(max(1, n_noisy))
    ]

    def smoothed(which: Subject, make: MakeMap) -> Tensor:
        return torch.stack([make(replace(which, images=noisy)) for noisy in pictures]).mean(dim=0)

    trained = {name: smoothed(subject, make) for name, make in makers.items()}
    kept: dict[str, list[np.ndarray]] = {name: [] for name in makers}
    for step in steps:
        for layer in step:
            draw_anew(weights, layer, generator)
        other = subject.rebuilt(weights)
        for name, make in makers.items():
            kept[name].append(rank_correlation(trained[name], smoothed(other, make)))
        if tick is not None:
            tick(str(step[-1]))
    return {
        name: Randomisation(
            tuple(str(step[-1]) for step in steps),
            np.stack(kept[name]),
            rank_correlation(maps, maps.roll(max(1, len(maps) // 2), dims=0)),
        )
        for name, maps in trained.items()
    }


def rank_correlation(one: Tensor, other: Tensor) -> np.ndarray:
    """Returns Spearman's correlation of each pair of maps [N, h, w], float64 [N].

    Equal values share a rank. A flat map is like no other: 0.
    """
    from scipy import stats

    ranks = (
        torch.from_numpy(stats.rankdata(maps.flatten(1).double().cpu().numpy(), axis=1))
        for maps in (one, other)
    )
    return correlation(*ranks).numpy()
