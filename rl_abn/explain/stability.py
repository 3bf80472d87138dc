"""Does a map stay where it is when the picture hardly changes?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rl_abn.explain.randomisation import MakeMap, rank_correlation
from rl_abn.explain.subject import Subject

NOISE = 0.02


def stability(subject: Subject, make: MakeMap, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns Spearman's correlation of maps before and after a small change, by change, each [N].

    "one pixel": the mean over four shifts of the picture by one pixel, its edge continued.
    "noise": normal noise of 2% of the pixels' range.

    Args:
        subject: What is explained.
        make: Makes the map.
        seed: Of the noise.
    """
    before = make(subject)
    shifts = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    moved = [
        rank_correlation(before, make(replace(subject, images=shift(subject.images, *by))))
        for by in shifts
    ]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(subject.images.shape, generator=generator).to(subject.images)
    spread = NOISE * float(subject.images.max() - subject.images.min())
    noisy = make(replace(subject, images=subject.images + spread * noise))
    return {"one pixel": np.mean(moved, axis=0), "noise": rank_correlation(before, noisy)}


def shift(images: Tensor, down: int, right: int) -> Tensor:
    """Returns pictures [N, C, H, W] moved by pixels; what comes in continues the edge."""
    height, width = images.shape[2:]
    padded = F.pad(images, (abs(right),) * 2 + (abs(down),) * 2, mode="replicate")
    top, left = abs(down) - down, abs(right) - right
    return padded[:, :, top : top + height, left : left + width]
