"""What a detector finds, kept beside its weights: `outputs.json` in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from rl_abn.files.text import read_json, write_output
from rl_abn.recipes.overrides import validate
from rl_abn.recipes.table import Label, Table
from rl_abn.vision.tasks.outputs import OUTPUTS

_MOST = 100_000


class Categories(Table):
    """The categories of a detector, and what it was trained on.

    Attributes:
        names: Of the categories 1 to K.
        n_train: Training pictures.
        n_held_out: Held-out pictures.
        train_sha256: Of the names, boxes and categories of the training pictures.
    """

    names: Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=_MOST)]
    n_train: Annotated[int, Field(ge=1)]
    n_held_out: Annotated[int, Field(ge=0)]
    train_sha256: Label

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
