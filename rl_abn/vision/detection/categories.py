"""What a detector finds, kept beside its weights: `outputs.json` in the run folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rl_abn.recipes.table import Label
from rl_abn.vision.tasks.outputs import KeptOutputs

_MOST = 100_000


class Categories(KeptOutputs):
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
