"""Detectors that are trained in seconds, and the mark of tests that need torchvision for them."""

from __future__ import annotations

import importlib

import pytest

from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Run
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.train import train


def works(package):
    try:
        importlib.import_module(package)
    except Exception:  # one made for another torch raises more than ImportError
        return False
    return True


needs_torchvision = pytest.mark.skipif(
    not (works("torchvision") and works("pycocotools")),
    reason="torchvision or pycocotools, which detectors need, is missing or of another torch",
)

SMALL = [
    "network.channels=8",
    "network.hidden=8",
    "network.sampled=8",
    "network.proposals=8",
    "boxes.short_side=64",
    "boxes.long_side=64",
    "train.batch_size=2",
]


def small_run(folder, data, epochs, agent="fasterrcnn_small_abn", **more):
    run, opened, resume = prepare_run(
        env="shapes_detection",
        agent=agent,
        seed=0,
        data=data,
        settings=[*SMALL, f"train.epochs={epochs}", "optimizer.schedule.kind=constant"],
        folder=folder,
        device="cpu",
        **more,
    )
    train(run, opened, resume=resume, device="cpu")
    return Run.open(folder, VisionRunRecipe)
