"""A trained detector for notebooks: it finds objects, and shows where it looked at each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.attention.override import as_override
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.vision.detection.build import load_detector
from rl_abn.vision.detection.detector import Detector
from rl_abn.vision.detection.evaluate import evaluate_detector
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.predict import BATCH
from rl_abn.vision.detection.proposals import layout_of
from rl_abn.vision.evaluation.evaluate import override_named
from rl_abn.vision.loaded import Loaded, Override
from rl_abn.vision.training.build import VisionRun


class DetectorModel(Loaded):
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
        self._trained = load_detector(run, step=step, device=device_of(device))
        super().__init__(
            run,
            step=self._trained.checkpoint.step,
            seed=seed,
            device=self._trained.device,
            score=evaluate_detector,
        )
        self.detector: Detector = self._trained.detector
        self.category_names = self._trained.categories.names

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
            name, layout = self._intervention(override), layout_of(self.detector.branch)
            return override_named(name, self.seed, layout, self._trained.device)
        return None if override is None else as_override(override)


def _listed(images: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    if isinstance(images, list | tuple):
        return list(images)
    pixels = np.asarray(images)
    return list(pixels) if pixels.ndim == 4 else [pixels]
