"""Trains a detector epoch by epoch: the loop of all networks, with a detector's losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import map_statistics
from rl_abn.runs.metrics import MetricsFile
from rl_abn.vision.detection.average_precision import average_precisions
from rl_abn.vision.detection.build import boxes_of, make_detector
from rl_abn.vision.detection.predict import detect_all
from rl_abn.vision.training.train import Sums, Training


class LossTally:
    """Means of losses over an epoch, summed on the device."""

    def __init__(self) -> None:
        self.n = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, losses: dict[str, Tensor], n: int) -> None:
        """Adds a batch of n pictures."""
        self.n += n
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(loss)) + n * loss.detach()

    def values(self) -> dict[str, float]:
        """Returns the means by name."""
        return {name: float(total) / self.n for name, total in self._sums.items()}


class DetectorTraining(Training):
    """A detector that is trained epoch by epoch; see `Training`."""

    network: Any
    data: Any

    def measure(self, examples: Any) -> tuple[dict[str, float], dict[str, float]]:
        """Returns average precisions on pictures, and the mean statistics of the found's maps."""
        self.network.eval()
        found = detect_all(self.network, examples)
        boxed = examples.boxed
        none = np.zeros((0, len(boxed)), int)
        scores = average_precisions(boxed.pictures, found, boxed.categories, none).values
        numbers = {name: scores[name] for name in ("ap", "ap50", "ap75")}
        sums = Sums()
        maps = np.concatenate([one.maps for one in found])
        if maps.size:
            sums.add(map_statistics(torch.from_numpy(maps)))
        return numbers, sums.values()

    def look(self, metrics: MetricsFile) -> None:
        """Keeps no maps of fixed pictures: from epoch to epoch a picture's boxes are others."""

    def _make_network(self, seed: int, *, pretrained: bool) -> Any:
        recipe, categories = self.run.recipe, self.data.outputs
        return make_detector(recipe, categories, self.device, seed, pretrained=pretrained)

    def _make_batches(self) -> Any:
        return None

    def _make_probes(self) -> None:
        return None

    def _make_tally(self) -> LossTally:
        return LossTally()

    def _batch_loss(self, numbers: Tensor, augment: torch.Generator, tally: Any) -> Tensor:
        flip = boxes_of(self.run.recipe).flip
        images, targets = self.data.train.batch(numbers.tolist(), augment, flip)
        losses = self.network.losses(images, targets)
        weights = {"branch": self.run.recipe.agent.loss.branch_coef}
        total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
        named = {f"{name}_loss": loss for name, loss in losses.items()}
        tally.add({"loss": total, **named}, len(images))
        return total
