"""From a recipe to a detector; from a checkpoint to a trained one."""

from __future__ import annotations

from typing import NamedTuple

import torch

from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.recipes.vision import BoxesTable
from rl_abn.runs import Checkpoint
from rl_abn.vision.detection.average_precision import coco_tools
from rl_abn.vision.detection.categories import Categories
from rl_abn.vision.detection.detector import Detector
from rl_abn.vision.detection.faster_rcnn import make_faster_rcnn
from rl_abn.vision.detection.proposals import make_branch
from rl_abn.vision.detection.settings import DetectorSettings
from rl_abn.vision.training.build import VisionRun

DETECTOR = "fasterrcnn"
"""The name that recipes have for the network."""


class TrainedDetector(NamedTuple):
    """A run's detector, ready to be asked.

    Attributes:
        detector: In evaluation mode, on its device.
        categories: What it finds.
        device: Where it is.
        checkpoint: Where its weights come from.
    """

    detector: Detector
    categories: Categories
    device: torch.device
    checkpoint: Checkpoint


def check_recipe(recipe: VisionRunRecipe) -> None:
    """Refuses a recipe that no detector will fit, before anything is opened.

    Raises:
        RlAbnError: If a name or an option is unknown, or one that detectors have not.
    """
    table, train = recipe.agent.network, recipe.agent.train
    settings = DetectorSettings.of(table.options)
    attention = recipe.agent.attention
    with torch.device("meta"):  # nothing is computed, nothing takes memory
        make_branch(settings.channels, 1, settings.blocks, attention.mechanism, attention.options)
    for name, got, only in (
        ("network.task", table.task, None),
        ("network.dropout", table.dropout, 0.0),
        ("train.precision", train.precision, "fp32"),
        ("train.compile", train.compile, False),
    ):
        if got != only:
            wanted = "none" if only is None else repr(only)
            raise RlAbnError(f"{name}: expected {wanted} for a detector, got {got!r}")


def make_detector(
    recipe: VisionRunRecipe,
    categories: Categories,
    device: torch.device,
    seed: int | None = None,
    *,
    pretrained: bool = False,
) -> Detector:
    """Makes the detector of a recipe, as its training begins.

    Args:
        recipe: The run's.
        categories: What it finds.
        device: Where it goes.
        seed: Of its weights; None draws them anyhow.
        pretrained: Whether a recipe that names weights gets them. They are downloaded, so not where
            those of a checkpoint will replace them.

    Raises:
        RlAbnError: If torchvision or pycocotools is missing, or the weights cannot be had.
    """
    coco_tools()  # a training scores itself after every epoch
    settings = DetectorSettings.of(recipe.agent.network.options)
    attention = recipe.agent.attention
    n_categories = len(categories.names)
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, for every device
        if seed is not None:
            torch.manual_seed(seed)
        model = make_faster_rcnn(settings, n_categories, boxes_of(recipe), pretrained=pretrained)
        # Last, so that the same seed gives the no-attention baseline the same trunk.
        branch = make_branch(
            settings.channels,
            n_categories,
            settings.blocks,
            attention.mechanism,
            attention.options,
        )
    return Detector(model, branch, attention.mechanism).to(device)


def load_detector(
    run: VisionRun, *, step: int | None = None, device: torch.device
) -> TrainedDetector:
    """Makes the detector of a run and gives it a checkpoint's weights.

    Args:
        run: The run.
        step: The checkpoint's epoch; None is the newest.
        device: Where it goes.

    Raises:
        RlAbnError: If there is no such checkpoint, or it is damaged or not this detector's.
    """
    checkpoint = run.checkpoint(step)
    categories = Categories.load(run.path)
    detector = make_detector(run.recipe, categories, device)
    detector.load_state_dict(run.weights(checkpoint, detector.state_dict()))
    return TrainedDetector(detector.eval(), categories, device, checkpoint)


def boxes_of(recipe: VisionRunRecipe) -> BoxesTable:
    """Returns how a recipe shows pictures with boxes."""
    assert recipe.env.boxes is not None
    return recipe.env.boxes
