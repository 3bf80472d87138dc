"""What loaded networks and loaded detectors have alike: their run, its recipe, its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.vision.evaluation.evaluate import VisionEvaluation
from rl_abn.vision.evaluation.interventions import ON_PICTURES, read_interventions
from rl_abn.vision.training.build import VisionRun

Override = str | np.ndarray | Tensor | Callable[[Tensor], Tensor]
"""Maps to act on instead, a function of the network's own, or the name of an intervention."""


class Loaded:
    """A vision run at one of its checkpoints.

    Args:
        run: The run.
        step: Epochs it was trained for.
        seed: Of what is drawn.
        device: Where it runs.
        score: Evaluates a run, as `evaluate_run` does.
    """

    def __init__(
        self,
        run: VisionRun,
        *,
        step: int,
        seed: int,
        device: torch.device,
        score: Callable[..., VisionEvaluation],
    ) -> None:
        self.run, self.step, self.seed = run, step, seed
        self._device, self._score = device, score

    @property
    def recipe(self) -> VisionRunRecipe:
        """The resolved recipe of the run."""
        return self.run.recipe

    def evaluate(
        self,
        *,
        data: str | Path | None = None,
        interventions: str | Sequence[str] = (),
        seed: int | None = None,
        **options: Any,
    ) -> VisionEvaluation:
        """Scores the checkpoint, as `rl-abn vision eval` does.

        Args:
            data: Where the data lies; None is where it lay in training.
            interventions: Names, such as "zero" or "all".
            seed: Of what is drawn; None is the loaded one's.
            options: More of what that command takes: split, samples, report.

        Raises:
            RlAbnError: If the data will not do, or there is no such intervention.
        """
        labels = [interventions] if isinstance(interventions, str) else interventions
        return self._score(
            self.run,
            data=None if data is None else Path(data),
            interventions=read_interventions(labels, self.run, ON_PICTURES),
            step=self.step,
            seed=self.seed if seed is None else seed,
            device=str(self._device),
            **options,
        )

    def _intervention(self, name: str) -> str:
        """Returns the one intervention of a name."""
        names = read_interventions([name], self.run, ON_PICTURES)
        if len(names) != 1:
            raise RlAbnError(f"expected one intervention, got '{name}'")
        return names[0]
