"""What a network's outputs mean, kept beside its weights: `outputs.json` in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from rl_abn.files.text import read_json, write_output
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.schema import Label, Table
from rl_abn.vision.data import SteeringBins
from rl_abn.vision.models.network import Answers

OUTPUTS = "outputs.json"
CONTROLS = ("steering", "throttle")
MOST_TASKS_SHOWN = 8
"""How many tasks a picture shows where nobody says which."""
_MOST = 100_000
_Number = Annotated[float, Field(strict=False)]


class Bins(Table):
    """Steering as classes: n + 1 edges and the n values they stand for."""

    edges: Annotated[tuple[_Number, ...], Field(strict=False, min_length=3, max_length=1002)]
    values: Annotated[tuple[_Number, ...], Field(strict=False, min_length=2, max_length=1001)]

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.edges) != len(self.values) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError("expected ascending edges, one more than values")
        return self


class Outputs(Table):
    """What a network answers, and what it was shown to learn it.

    Attributes:
        answers: Classes, tasks or controls.
        names: Of the K outputs.
        size: Height and width of the pictures.
        bins: What the classes of steering stand for; None where they are no steering.
        mean_controls: Means of steering and pedals over the training frames of a drive; None where
            the network answers actions.
        n_train: Training pictures.
        n_held_out: Held-out pictures.
        train_sha256: Of the names and targets of the training pictures.
    """

    answers: Answers
    names: Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=_MOST)]
    size: Annotated[tuple[int, int], Field(strict=False)]
    bins: Bins | None = None
    mean_controls: Annotated[tuple[_Number, _Number] | None, Field(strict=False)] = None
    n_train: Annotated[int, Field(ge=1)]
    n_held_out: Annotated[int, Field(ge=0)]
    train_sha256: Label

    @model_validator(mode="after")
    def _are_alike(self) -> Self:
        if self.bins is not None and len(self.bins.values) != len(self.names):
            raise ValueError(f"expected {len(self.bins.values)} names, got {len(self.names)}")
        if (self.answers == "controls") and len(self.names) != len(CONTROLS):
            raise ValueError(f"expected {len(CONTROLS)} controls, got {len(self.names)}")
        return self

    @property
    def steering(self) -> SteeringBins | None:
        """The classes of steering, as tensors."""
        if self.bins is None:
            return None
        return SteeringBins(torch.tensor(self.bins.edges), torch.tensor(self.bins.values))

    @property
    def task_names(self) -> tuple[str, ...]:
        """What the tasks are called; none where the answers are others."""
        return self.names if self.answers == "tasks" else ()

    def save(self, folder: Path) -> None:
        """Writes them into a run folder.

        Raises:
            RlAbnError: If they cannot be written.
        """
        write_output(folder / OUTPUTS, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads them from a run folder.

        Raises:
            RlAbnError: If they are missing or damaged.
        """
        path = folder / OUTPUTS
        return validate(cls, read_json(path), str(path))


def steering_of(bins: SteeringBins, answers: Float[Tensor, "N K"]) -> Float[Tensor, " N"]:
    """Returns the steering that the likeliest class stands for, [N]."""
    return bins.steering(answers.argmax(dim=1))
