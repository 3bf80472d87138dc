"""What differs between training a network for pictures and a detector: one entry each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe

if TYPE_CHECKING:
    from rl_abn.vision.training.train import Training


class Kind(NamedTuple):
    """How runs of a kind are prepared and trained.

    Attributes:
        check_recipe: Refuses a recipe that no network or data will fit.
        open_training: Opens what a recipe learns from and holds out, a `DataSet` or its like.
        make_network: Makes the network of a recipe and of what its outputs mean, on a device.
        training: Trains it epoch by epoch.
    """

    check_recipe: Callable[[VisionRunRecipe], None]
    open_training: Callable[[VisionRunRecipe, Path, torch.device], Any]
    make_network: Callable[..., nn.Module]
    training: type[Training]


def kind_of(recipe: VisionRunRecipe) -> Kind:
    """Returns how the run of a recipe is prepared and trained.

    Raises:
        RlAbnError: If the recipe is of a detector and its data has no boxes, or the reverse.
    """
    # Imported late: both kinds' trainings rest on the modules that ask for a kind.
    from rl_abn.vision.data import examples
    from rl_abn.vision.detection import build as detector
    from rl_abn.vision.detection import data as boxes
    from rl_abn.vision.detection.training import DetectorTraining
    from rl_abn.vision.training import build
    from rl_abn.vision.training.train import Training

    has_boxes = recipe.env.kind == "boxes"
    if has_boxes != (recipe.agent.network.name == detector.DETECTOR):
        wanted = "a detector, such as fasterrcnn_abn," if has_boxes else "data with boxes"
        fits = recipe.env_name if has_boxes else f"{recipe.agent_name}, which is a detector"
        got = recipe.agent_name if has_boxes else f"{recipe.env_name} ({recipe.env.kind})"
        raise RlAbnError(f"expected {wanted} for {fits}, got {got}")
    if has_boxes:
        return Kind(
            detector.check_recipe, boxes.open_training, detector.make_detector, DetectorTraining
        )
    return Kind(build.check_recipe, examples.open_training, build.make_network, Training)


def check_recipe(recipe: VisionRunRecipe) -> None:
    """Refuses a recipe that no network or data will fit, before anything is opened.

    Raises:
        RlAbnError: If a name or an option is unknown, or network and data are not of one kind.
    """
    kind_of(recipe).check_recipe(recipe)
