"""Writes an episode as it is played; what is in memory does not grow with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.record.chunks import (
    FRAMES,
    STATES,
    TRACE,
    chunk_file,
    pack_state,
    pack_trace,
    write_file,
)
from rl_abn.record.meta import ArraySpec, EpisodeMeta
from rl_abn.record.sheets import Palette, encode_sheet


class EpisodeWriter:
    """Writes an episode folder, chunk by chunk. A context manager.

    A chunk is on disk once it is full; a kill loses the steps of one chunk. An exception in the
    `with` block keeps the steps so far and marks the episode as cut.

    Args:
        folder: Where to; it may not exist, or be empty.
        meta: What is known of the episode; the arrays are those of its first step.

    Attributes:
        n_steps: Steps so far.

    Raises:
        RlAbnError: If the folder is taken or cannot be written.
    """

    def __init__(self, folder: Path, meta: EpisodeMeta) -> None:
        self.folder = folder
        self.meta = meta
        self.n_steps = 0
        self._frames: list[np.ndarray] = []
        self._steps: dict[str, list[Any]] = {}
        self._palette = Palette()
        self._closed = False
        self._score = 0.0
        try:
            taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
        except OSError as error:
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
        if taken:
            raise RlAbnError(f"expected a new episode folder, got '{folder}', which is taken")

    @property
    def is_state_due(self) -> bool:
        """Whether the next step is a chunk's first, before which a state is kept."""
        return not self._frames

    def add_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Keeps what it takes to go on from the next step, arrays by name.

        Raises:
            RlAbnError: If it cannot be written.
        """
        assert self.is_state_due
        chunk = self.n_steps // self.meta.chunk_steps
        write_file(chunk_file(self.folder, STATES, chunk), pack_state(state))

    def add(
        self, frame: UInt8[np.ndarray, "H W 3"], step: Mapping[str, np.ndarray | float | int | bool]
    ) -> None:
        """Adds a step: the screen before the action, and arrays by name.

        Numbers get the types of `REQUIRED`, others are arrays. All steps have the same.

        Raises:
            RlAbnError: If it cannot be written.
        """
        if not self.meta.arrays:
            specs = {name: _spec(name, value) for name, value in step.items()}
            self.meta = replace(self.meta, arrays=specs)
            self.meta.save(self.folder)
            self._steps = {name: [] for name in specs}
        assert step.keys() == self._steps.keys()
        self._frames.append(frame)
        for name, value in step.items():
            self._steps[name].append(value)
        self._score = float(step["score"])
        self.n_steps += 1
        if len(self._frames) == self.meta.chunk_steps:
            self._flush()

    def finish(self, *, whole: bool) -> None:
        """Writes what is left, and how it ended; a second call does nothing.

        Args:
            whole: Whether the game ended, or as many steps were made as asked for.

        Raises:
            RlAbnError: If it cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        if self._frames:
            self._flush()
        if self.n_steps:
            status = "whole" if whole else "cut"
            self.meta = replace(self.meta, status=status, n_steps=self.n_steps, score=self._score)
            self.meta.save(self.folder)

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.finish(whole=False)
        except RlAbnError:
            # Otherwise the first error is the one to report.
            if error is None:
                raise

    def _flush(self) -> None:
        chunk = (self.n_steps - 1) // self.meta.chunk_steps
        sheet = encode_sheet(self._frames, self.meta.sheet_columns, self._palette)
        write_file(chunk_file(self.folder, FRAMES, chunk), sheet)
        arrays = {
            name: np.array(values, self.meta.arrays[name].dtype)
            for name, values in self._steps.items()
        }
        # Last: a chunk is there when its trace is.
        write_file(chunk_file(self.folder, TRACE, chunk), pack_trace(arrays))
        self._frames = []
        self._steps = {name: [] for name in self._steps}


_NUMBERS = {"action": "int32", "lives": "int32", "reward": "float64", "score": "float64"}


def _spec(name: str, value: Any) -> ArraySpec:
    if name in _NUMBERS:
        return ArraySpec(_NUMBERS[name], ())
    array = np.asarray(value)
    return ArraySpec(str(array.dtype), array.shape)
