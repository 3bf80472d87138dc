"""What a network's outputs mean, kept beside its weights: `outputs.json` in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Label, Table
from rl_abn.recipes.vision import with_task
from rl_abn.vision.data import SteeringBins
from rl_abn.vision.tasks import Task, task_named

OUTPUTS = "outputs.json"
MOST_TASKS_SHOWN = 8
"""How many tasks a picture shows where nobody says which."""
_MOST = 100_000
_Number = Annotated[float, Field(strict=False)]


def _read_task(task: object) -> object:
    try:
        return task_named(task) if isinstance(task, str) else task
    except RlAbnError as error:
        raise ValueError(str(error)) from None


_TaskByName = Annotated[
    Task, BeforeValidator(_read_task), PlainSerializer(lambda task: task.name, return_type=str)
]


class KeptOutputs(Table):
    """What a network says, kept beside its weights as `outputs.json` in the run folder."""

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


class Bins(Table):
    """Steering as classes: n + 1 edges and the n values they stand for."""

    edges: Annotated[tuple[_Number, ...], Field(strict=False, min_length=3, max_length=1002)]
    values: Annotated[tuple[_Number, ...], Field(strict=False, min_length=2, max_length=1001)]

    @classmethod
    def of(cls, bins: SteeringBins) -> Self:
        """Makes plain data of ranges of steering."""
        return cls(edges=tuple(bins.edges.tolist()), values=tuple(bins.values.tolist()))

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.edges) != len(self.values) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError("expected ascending edges, one more than values")
        return self


class Outputs(KeptOutputs):
    """What the outputs of a network mean, and what it was trained on.

    Attributes:
        task: What it was trained to do; a name in the file.
        names: Of the K outputs.
        size: Height and width of the pictures.
        bins: What the classes of steering stand for; None where they are no steering.
        mean_controls: Means of steering and pedals over the training frames of a drive; None where
            the classes are actions.
        n_train: Training pictures.
        n_held_out: Held-out pictures.
        train_sha256: Of the names and targets of the training pictures.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    task: _TaskByName
    names: Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=_MOST)]
    size: Annotated[tuple[int, int], Field(strict=False)]
    bins: Bins | None = None
    mean_controls: Annotated[tuple[_Number, _Number] | None, Field(strict=False)] = None
    n_train: Annotated[int, Field(ge=1)]
    n_held_out: Annotated[int, Field(ge=0)]
    train_sha256: Label

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, table: object) -> object:
        return with_task(table)

    @model_validator(mode="after")
    def _are_alike(self) -> Self:
        if self.bins is not None and len(self.bins.values) != len(self.names):
            raise ValueError(f"expected {len(self.bins.values)} names, got {len(self.names)}")
        self.task.check_names(self.names)
        return self

    @property
    def steering(self) -> SteeringBins | None:
        """The classes of steering, as tensors."""
        if self.bins is None:
            return None
        return SteeringBins(torch.tensor(self.bins.edges), torch.tensor(self.bins.values))

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the attention maps; none where all outputs share one map."""
        return self.names if self.task.map_per_output else ()
