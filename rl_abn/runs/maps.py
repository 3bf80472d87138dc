"""The maps of a few fixed pictures over a training, raw, float16."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.runs.checkpoints import name_of, step_of
from rl_abn.runs.tensors import load_tensors, save_tensors

PROBES = "probes.safetensors"


class MapLog:
    """The maps of P pictures at every logging point.

    Args:
        folder: The run's.
        n_pictures: P.
    """

    def __init__(self, folder: Path, n_pictures: int) -> None:
        self.folder = folder / "attention"
        self.n_pictures = n_pictures

    def keep(self, maps: Tensor, step: int) -> None:
        """Stores the maps of a logging point, [P, m, h, w]."""
        save_tensors(self._file(step), {"maps": maps.half()})

    def drop_after(self, step: int) -> None:
        """Removes the maps of later steps: a resumed run makes them again."""
        for later in [s for s in self.steps if s > step]:
            with suppress(OSError):
                self._file(later).unlink()

    @property
    def steps(self) -> list[int]:
        """Training steps whose maps are kept, ascending."""
        found = (step_of(path.stem) for path in self.folder.glob("maps/step-*.safetensors"))
        return sorted(step for step in found if step is not None)

    def maps(self, step: int) -> np.ndarray:
        """Reads the maps of a logging point, float32 [P, m, h, w].

        Raises:
            RlAbnError: If the file is missing or damaged.
        """
        path = self._file(step)
        maps = load_tensors(path).get("maps")
        if maps is None or maps.ndim != 4 or len(maps) != self.n_pictures:
            raise RlAbnError(f"{path}: expected maps of {self.n_pictures} probes")
        return maps.float().numpy()

    def _file(self, step: int) -> Path:
        return self.folder / "maps" / f"{name_of(step)}.safetensors"
