"""Maps beside where people look: four scores, and all of them for several maps at once.

The scores are those that are usual for saliency (Bylinskii et al., TPAMI 2019): NSS, shuffled AUC,
KL and the correlation (CC).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.cells import to_cells, to_pixels

SCORES = ("nss", "shuffled_auc", "kl", "cc")
PEOPLE, OWN_GAZE = "people's average", "this gaze in cells"
SIGMA = 5.0
"""Pixels of an Atari screen in about one degree of sight."""
MOST_OTHERS = 512
"""Gaze positions of other moments that shuffled AUC compares with."""


def gaze_density(positions: np.ndarray, size: tuple[int, int], sigma: float = SIGMA) -> np.ndarray:
    """Returns a density of gaze positions [G, 2], float64 [H, W] that sums to 1.

    Args:
        positions: x and y in pixels.
        size: H and W.
        sigma: Of the Gaussian at each position, in pixels.
    """
    down = _bells(positions[:, 1], size[0], sigma)
    total = down.T @ _bells(positions[:, 0], size[1], sigma)
    density: np.ndarray = total / total.sum()
    return density


def _bells(at: np.ndarray, n: int, sigma: float) -> np.ndarray:
    bells: np.ndarray = np.exp(-((np.arange(n)[None] - at[:, None]) ** 2) / (2 * sigma**2))
    return bells


def nss(saliency: np.ndarray, positions: np.ndarray) -> float:
    """Returns the normalised scanpath saliency: the standardised map's mean at gaze positions.

    0 is chance; a flat map has 0.

    Args:
        saliency: [H, W].
        positions: x and y in pixels, [G, 2].
    """
    spread = float(saliency.std())
    if spread < 1e-12:
        return 0.0
    return float(((_at(saliency, positions) - saliency.mean()) / spread).mean())


def shuffled_auc(saliency: np.ndarray, positions: np.ndarray, others: np.ndarray) -> float:
    """Returns how probably the map is higher at a gaze of this frame than at one of another.

    0.5 is chance, which a map of where people look on average has too.

    Args:
        saliency: [H, W].
        positions: Of this frame, [G, 2].
        others: Of other frames, [K, 2].
    """
    own, rest = _at(saliency, positions), _at(saliency, others)
    gap = own[:, None] - rest[None]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())


def kl_of_gaze(saliency: np.ndarray, density: np.ndarray) -> float:
    """Returns KL(gaze ‖ map) in nats; both are shares of a sum, [H, W]."""
    eps = np.finfo(np.float64).eps
    p = density / density.sum()
    q = np.clip(saliency, 0.0, None)
    q = q / q.sum() if q.sum() > 0 else np.full_like(p, 1.0 / p.size)
    return float((p * np.log(eps + p / (q + eps))).sum())


def correlation_with_gaze(saliency: np.ndarray, density: np.ndarray) -> float:
    """Returns Pearson's correlation of a map and a density, [H, W] each; 0 for a flat one."""
    if saliency.std() < 1e-12 or density.std() < 1e-12:
        return 0.0
    found = float(np.corrcoef(saliency.ravel(), density.ravel())[0, 1])
    return found if math.isfinite(found) else 0.0


def _at(saliency: np.ndarray, positions: np.ndarray) -> np.ndarray:
    columns, rows = positions.astype(int).T
    values: np.ndarray = saliency[rows, columns]
    return values


def score_maps(
    maps: Mapping[str, Tensor],
    positions: Sequence[np.ndarray],
    groups: np.ndarray,
    size: tuple[int, int],
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> dict[tuple[str, str], np.ndarray]:
    """Scores maps, and what people's gaze itself comes to.

    Beside the maps stand two that are made of the gaze: "people's average", the mean density of the
    moments in all other groups, which knows where people look in this game and nothing of the
    moment; and "this gaze in cells", the moment's own density on the maps' grid, which is the most
    that a map of so few cells can reach.

    Args:
        maps: By name, [N, h, w] each, one grid for all.
        positions: Of each moment, x and y in pixels, [G, 2] each; G is 1 or more.
        groups: Which stretch of play each moment is of, int64 [N]; a map is never compared with
            the gaze of its own stretch.
        size: Pixels that the maps cover, H and W.
        seed: Of the gaze positions that shuffled AUC compares with.
        tick: Told how many moments are scored.

    Returns:
        By (map, score), float64 [N] each. Shuffled AUC is 0.5 where there is but one group;
        people's average has none, as it is made of the gaze that shuffled AUC compares with.
    """
    n = len(positions)
    densities = np.stack([gaze_density(each, size) for each in positions])
    rows, columns = next(iter(maps.values())).shape[1:]
    cells = to_cells(torch.as_tensor(densities), (rows, columns))
    known = {name: made.detach().cpu() for name, made in maps.items()} | {OWN_GAZE: cells}
    total = densities.sum(axis=0)
    of_group = {group: densities[groups == group].sum(axis=0) for group in np.unique(groups)}
    rng = np.random.default_rng(seed)
    found = {(name, score): np.zeros(n) for name in (*known, PEOPLE) for score in SCORES}
    del found[PEOPLE, "shuffled_auc"]
    for i in range(n):
        elsewhere = [each for each, of in zip(positions, groups, strict=True) if of != groups[i]]
        others = np.concatenate(elsewhere) if elsewhere else np.zeros((0, 2))
        if len(others) > MOST_OTHERS:
            others = others[rng.choice(len(others), MOST_OTHERS, replace=False)]
        wide = {name: to_pixels(made[i : i + 1], size)[0] for name, made in known.items()}
        shown = {name: made.double().numpy() for name, made in wide.items()}
        shown[PEOPLE] = np.clip(total - of_group[groups[i]], 0.0, None)
        for name, saliency in shown.items():
            found[name, "nss"][i] = nss(saliency, positions[i])
            if name != PEOPLE:
                auc = shuffled_auc(saliency, positions[i], others) if len(others) else 0.5
                found[name, "shuffled_auc"][i] = auc
            found[name, "kl"][i] = kl_of_gaze(saliency, densities[i])
            found[name, "cc"][i] = correlation_with_gaze(saliency, densities[i])
        if tick is not None:
            tick(1)
    return found
