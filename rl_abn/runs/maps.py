"""The maps of a few fixed pictures over a training, raw, float16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.runs.checkpoints import name_of, step_of
from rl_abn.runs.tensors import load_tensors, save_tensors

PROBES = "probes.safetensors"


LogT = TypeVar("LogT", bound="MapLog")


def open_or_create(
    open_log: Callable[[], LogT], create_log: Callable[[], LogT], *, resume: bool, step: int
) -> LogT:
    """Returns a run's log of maps, without those of later steps: a resumed run makes them again.

    Args:
        open_log: Opens what the run keeps; RlAbnError says that it is missing, damaged or
            another's, and then a new one takes its place.
        create_log: Makes a new one.
        resume: Whether the run goes on.
        step: Where the run is.
    """
    log = None
    if resume:
        with suppress(RlAbnError):
            log = open_log()
    log = log or create_log()
    log.drop_after(step)
    return log


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

    @classmethod
    def load_pictures(
        cls, run_folder: Path, what: str, who: str, most_bytes: int | None = None
    ) -> dict[str, Tensor]:
        """Reads what a run keeps of its pictures, by name; the caller checks the shapes.

        Args:
            run_folder: The run's.
            what: What the pictures are called in an error.
            who: Who keeps them: "an agent" or "a network".
            most_bytes: Refuses a larger file; None takes any.

        Raises:
            RlAbnError: If the run kept none, or the file is damaged.
        """
        path = run_folder / "attention" / PROBES
        if not path.is_file():
            raise RlAbnError(
                f"{run_folder}: expected kept {what}, got none; "
                f"{who} with attention keeps them when train.n_probes is above 0"
            )
        return load_tensors(path, most_bytes=most_bytes)

    def _file(self, step: int) -> Path:
        return self.folder / "maps" / f"{name_of(step)}.safetensors"
