"""Fréchet Inception distance of two sets of pictures, by torchmetrics where it is installed."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.vision.translation.domains import open_domain

_BATCH = 64


def fid(pictures: Path, others: Path, size: tuple[int, int], device: torch.device) -> float:
    """Computes the distance (Heusel et al., NeurIPS 2017); lower is nearer.

    Args:
        pictures: A data set, such as a translated one.
        others: Pictures of the domain that it was translated to.
        size: Height and width that both are resized to first.
        device: Where the Inception network runs.

    Raises:
        RlAbnError: If torchmetrics, torch-fidelity or its network's weights are not there, or a
            set will not do.
    """
    try:
        module = importlib.import_module("torchmetrics.image.fid")
        measure = module.FrechetInceptionDistance(feature=2048).to(device)
    except Exception as error:  # not installed, or its weights cannot be downloaded
        raise RlAbnError(
            "expected torchmetrics with torch-fidelity and its Inception weights, got none: "
            f"{brief(error)}; pip install 'torchmetrics[image]'"
        ) from None
    sets = [open_domain(path, size, device) for path in (others, pictures)]
    for domain, real in zip(sets, (True, False), strict=True):
        for numbers in torch.arange(len(domain.pictures)).split(_BATCH):
            measure.update(domain.pictures.read(numbers), real=real)
    return float(measure.compute())
