"""A trained detector for notebooks: it finds objects, and shows where it looked at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.attention.override import as_override
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.vision.detection.build import load_detector
from rl_abn.vision.detection.detector import Detector
from rl_abn.vision.detection.evaluate import evaluate_detector
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.predict import BATCH
from rl_abn.vision.evaluation.evaluate import VisionEvaluation, override_named
from rl_abn.vision.evaluation.interventions import ON_PICTURES, read_interventions
from rl_abn.vision.training.build import VisionRun

Override = str | np.ndarray | Tensor | Callable[[Tensor], Tensor]
"""Maps of proposals to act on, a function of the detector's own, or an intervention's name."""


class DetectorModel:
    """A vision run's detector at one of its checkpoints; `rl_abn.load` makes it.

    Args:
        run: The run.
        step: The checkpoint's epoch; None is the newest.
        device: Where the detector runs.
        seed: Of shuffled maps.

    Attributes:
        run: The run.
        detector: In evaluation mode.
        step: Epochs it was trained for.
        seed: Of shuffled maps.
        category_names: Of the K categories; a label k is the name number k - 1.

    Raises:
        RlAbnError: If torchvision is missing, or there is no such checkpoint or device.
    """

    def __init__(
        self, run: VisionRun, *, step: int | None = None, device: str = "auto", seed: int = 0
    ) -> None:
        self.run = run
        self._trained = load_detector(run, step=step, device=device_of(device))
        self.detector: Detector = self._trained.detector
        self.step = self._trained.checkpoint.step
        self.seed = seed
        self.category_names = self._trained.categories.names

    @property
    def recipe(self) -> VisionRunRecipe:
        """The resolved recipe of the run."""
        return self.run.recipe

    def detect(
        self, images: np.ndarray | Sequence[np.ndarray], map_override: Override | None = None
    ) -> list[Found]:
        """Finds the objects of pictures, with the map of each.

        Args:
            images: RGB, uint8 [N, H, W, 3], one, [H, W, 3], or a list of such of any sizes.
            map_override: Maps of all proposals to act on, broadcastable to [P, m, 7, 7]: an array,
                a tensor, a function of the detector's own (float32 on the CPU, those of some
                pictures at a time), or the name of an intervention, such as "uniform".

        Returns:
            What was found in each picture, the surest first.

        Raises:
            RlAbnError: If a shape is wrong, or there is no such intervention.
        """
        pictures = [self._pixels(image) for image in _listed(images)]
        found: list[Found] = []
        try:
            override = self._override(map_override)
            for start in range(0, len(pictures), BATCH):
                found += self.detector.detect(pictures[start : start + BATCH], override)
        except ValueError as error:
            raise RlAbnError(f"map_override: {error}") from None
        return found

    def evaluate(
        self,
        *,
        data: str | Path | None = None,
        interventions: str | Sequence[str] = (),
        seed: int | None = None,
        **options: Any,
    ) -> VisionEvaluation:
        """Scores the checkpoint's detector, as `rl-abn vision eval` does.

        Args:
            data: Where the data lies; None is where it lay in training.
            interventions: Names, such as "zero" or "all".
            seed: Of shuffled maps and of draws; None is the model's.
            options: More of `evaluate_detector`: split, report.

        Raises:
            RlAbnError: If the data will not do, or there is no such intervention.
        """
        labels = [interventions] if isinstance(interventions, str) else interventions
        return evaluate_detector(
            self.run,
            data=None if data is None else Path(data),
            interventions=read_interventions(labels, self.run, ON_PICTURES),
            step=self.step,
            seed=self.seed if seed is None else seed,
            device=str(self._trained.device),
            **options,
        )

    def __repr__(self) -> str:
        recipe = self.recipe
        return (
            f"DetectorModel({recipe.agent_name} on {recipe.env_name}, epoch {self.step:,}, "
            f"{len(self.category_names)} categories, {self._trained.device})"
        )

    def _pixels(self, image: np.ndarray) -> Tensor:
        """Returns a picture as the detector takes it, float32 [3, H, W] in 0..1."""
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            got = f"{pixels.dtype} {list(pixels.shape)}"
            raise RlAbnError(f"expected pictures of RGB, uint8 [H, W, 3], got {got}")
        whole = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return whole.to(self._trained.device).float() / 255.0

    def _override(self, override: Override | None) -> MapOverride | None:
        if isinstance(override, str):
            names = read_interventions([override], self.run, ON_PICTURES)
            if len(names) != 1:
                raise RlAbnError(f"expected one intervention, got '{override}'")
            return override_named(names[0], self.seed, self._trained.device)
        return None if override is None else as_override(override)


def _listed(images: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [images]
    return list(images)
