"""Where a detector's maps lie on objects that something covers in part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from rl_abn.explain.controls import another_moment
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.vision.detection.build import TrainedDetector
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.map_mass import (
    VisibleMass,
    is_occluded,
    mass_on_visible,
    visible_mass,
)
from rl_abn.vision.detection.objects import ProposalHeads, heads_subject, pool_boxes

MAP, GRAD_CAM, EVEN, ANOTHER = "map", "grad_cam", "even", "another object's map"


class VisibleShares(NamedTuple):
    """Of n occluded objects, what share of each map's mass lies on the visible part.

    Attributes:
        shares: By map, 0..1, [n]: Grad-CAM's and an even map's, and of a detector with maps of
            places its own and its map of another of these objects.
        pictures: The number of each object's picture, [n].
    """

    shares: dict[str, Float[np.ndarray, " n"]]
    pictures: Int64[np.ndarray, " n"]


def shares_on_visible(
    trained: TrainedDetector, examples: BoxedExamples, seed: int = 0
) -> VisibleShares:
    """Measures how much of the maps lies on the visible parts of occluded objects.

    Objects' own boxes are asked about, so that the map and what is visible share a frame.

    Args:
        trained: The detector.
        examples: Pictures, with any objects.
        seed: Of which other object's map stands beside each.
    """
    asked: dict[int, np.ndarray] = {}
    visible, labels, pictures = [np.zeros((0, 4))], [np.zeros(0, np.int64)], list[int]()
    for number, picture in enumerate(examples.boxed.pictures):
        which = is_occluded(picture.boxes, picture.visible)
        if which.any():
            asked[number] = picture.boxes[which]
            visible.append(picture.visible[which])
            labels.append(picture.labels[which])
            pictures += [number] * int(which.sum())
    if not asked:
        return VisibleShares({}, np.zeros(0, np.int64))
    heads = ProposalHeads(trained.detector).eval()
    features = pool_boxes(trained, examples, asked)
    subject = heads_subject(heads, features)
    right = torch.from_numpy(np.concatenate(labels)).to(trained.device)
    maps = {GRAD_CAM: grad_cam(subject, right)}
    maps[EVEN] = torch.ones_like(maps[GRAD_CAM])
    if heads.abilities.maps == "spatial":
        own = subject.own_map()
        other = another_moment(own, torch.Generator().manual_seed(seed))
        maps = {MAP: own, ANOTHER: other, **maps}
    boxes, seen = np.concatenate(list(asked.values())), np.concatenate(visible)
    shares = {
        name: mass_on_visible(array.cpu().numpy(), boxes, seen) for name, array in maps.items()
    }
    return VisibleShares(shares, np.array(pictures))


def masses_on_visible(trained: TrainedDetector, examples: BoxedExamples) -> dict[str, VisibleMass]:
    """Estimates how much of the map and of Grad-CAM lies on occluded objects' visible parts.

    Args:
        trained: The detector.
        examples: Pictures, with any objects.

    Returns:
        By map; nothing where no object is occluded.
    """
    found = shares_on_visible(trained, examples)
    return {
        name: visible_mass(found.shares[name], found.shares[EVEN], found.pictures)
        for name in (MAP, GRAD_CAM)
        if name in found.shares
    }
