"""Reads any step of an episode."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError
from rl_abn.record.chunks import (
    FRAMES,
    STATES,
    TRACE,
    chunk_file,
    count_steps,
    read_state,
    read_trace,
)
from rl_abn.record.meta import META, ArraySpec, EpisodeMeta
from rl_abn.record.sheets import check_sheet, decode_sheet

_KEPT_CHUNKS = 4
_Sheet = tuple[np.ndarray, np.ndarray | None]
_T = TypeVar("_T")


class Episode:
    """A recorded episode, readable up to where it was cut off.

    Opening it reads headers alone. Reading a step reads its chunk; the chunks read last are kept.

    Args:
        path: The episode folder.

    Attributes:
        path: The episode folder.
        meta: What is known of it beside its steps.
        n_steps: Steps that can be read, 1 or more.
        cut: Why there are no more, in one line; None for a whole episode.

    Raises:
        RlAbnError: If it is none, or not a step of it can be read.

    Example:
        >>> episode = Episode(Path("episode"))
        >>> episode.frame(412).shape, float(episode.numbers("value")[412])
        ((210, 160, 3), 3.25)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = EpisodeMeta.load(path)
        self.n_steps = 0
        self.cut: str | None = None
        self._sheets: OrderedDict[int, _Sheet] = OrderedDict()
        self._traces: OrderedDict[int, dict[str, np.ndarray]] = OrderedDict()
        self._numbers: dict[str, np.ndarray] = {}
        self._count()
        if not self.n_steps:
            raise RlAbnError(self.cut or f"{path}: expected a recorded step, got none")

    @property
    def n_chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.n_steps // self.meta.chunk_steps)

    def frame(self, step: int) -> UInt8[np.ndarray, "H W 3"]:
        """Returns the screen before a step's action, uint8 [H, W, 3].

        Raises:
            RlAbnError: If there is no such step, or the sheet is damaged.
        """
        chunk, at = self._place(step)
        frames, colours = _kept(self._sheets, chunk, self._sheet)
        return frames[at].copy() if colours is None else np.asarray(colours[frames[at]])

    def sheet(self, chunk: int) -> tuple[Path, int]:
        """Returns a chunk's sheet and how many screens it shows, row by row.

        A row has `meta.sheet_columns` screens, or as many as there are.
        """
        return chunk_file(self.path, FRAMES, chunk), self._length(chunk)

    def step(self, step: int) -> dict[str, np.ndarray]:
        """Returns a step's arrays by name, as `meta.arrays` has them.

        Raises:
            RlAbnError: If there is no such step, or its chunk is damaged.
        """
        chunk, at = self._place(step)
        return {name: array[at] for name, array in self.chunk(chunk).items()}

    def chunk(self, chunk: int) -> dict[str, np.ndarray]:
        """Returns the arrays of a chunk's n steps, [n, ...] by name.

        Raises:
            RlAbnError: If it is damaged.
        """
        return _kept(self._traces, chunk, self._trace)

    def numbers(self, name: str) -> np.ndarray:
        """Returns an array of all steps, [n_steps, ...], such as "value" or "reward".

        It is kept in memory: maps and evidence are better read by chunk.

        Raises:
            RlAbnError: If there is no such array, or a chunk is damaged.
        """
        self.read_numbers([name])
        return self._numbers[name]

    def read_numbers(self, names: Iterable[str]) -> None:
        """Reads arrays of all steps that `numbers` is to return, each chunk's file once.

        Raises:
            RlAbnError: As `numbers`.
        """
        specs = {name: self._spec(name) for name in names if name not in self._numbers}
        if not specs:
            return
        chunks = [
            read_trace(chunk_file(self.path, TRACE, chunk), specs, self._length(chunk))
            for chunk in range(self.n_chunks)
        ]
        for name in specs:
            self._numbers[name] = np.concatenate([chunk[name] for chunk in chunks])

    def array(self, name: str, chunk: int) -> np.ndarray:
        """Returns one array of a chunk's n steps, [n, ...], and reads nothing else of it.

        Raises:
            RlAbnError: If there is no such array or chunk, or it is damaged.
        """
        path = chunk_file(self.path, TRACE, chunk)
        return read_trace(path, {name: self._spec(name)}, self._length(chunk))[name]

    def state_before(self, step: int) -> tuple[int, dict[str, np.ndarray]]:
        """Returns the newest state from which a step can be reached, and the step it belongs to.

        Raises:
            RlAbnError: If there is no such step, or no state.
        """
        chunk, _ = self._place(step)
        while chunk > 0 and not chunk_file(self.path, STATES, chunk).is_file():
            chunk -= 1
        return chunk * self.meta.chunk_steps, read_state(chunk_file(self.path, STATES, chunk))

    def _count(self) -> None:
        """Finds the chunks that are there, up to the first that is not whole."""
        size, chunk = self.meta.chunk_steps, 0
        while self.n_steps == chunk * size:
            trace = chunk_file(self.path, TRACE, chunk)
            if not trace.exists():
                break
            try:
                n = count_steps(trace, self.meta.arrays)
                if n > size:
                    raise RlAbnError(f"{trace}: expected at most {size} steps, got {n}")
                sheet = chunk_file(self.path, FRAMES, chunk)
                check_sheet(sheet, n, self.meta.sheet_columns, self.meta.frame_size)
            except RlAbnError as error:
                self.cut = str(error)
                return
            self.n_steps += n
            chunk += 1
        if self.meta.status != "whole":
            self.cut = f"{self.path / META}: the recording was stopped, or goes on"
        elif self.n_steps < self.meta.n_steps:
            self.cut = f"{self.path}: expected {self.meta.n_steps:,} steps, got {self.n_steps:,}"

    def _place(self, step: int) -> tuple[int, int]:
        if not 0 <= step < self.n_steps:
            raise RlAbnError(
                f"{self.path}: expected a step from 0 to {self.n_steps - 1:,}, got {step:,}"
            )
        return divmod(step, self.meta.chunk_steps)

    def _spec(self, name: str) -> ArraySpec:
        spec = self.meta.arrays.get(name)
        if spec is None:
            raise RlAbnError(f"{self.path}: expected '{name}' at each step, got none")
        return spec

    def _length(self, chunk: int) -> int:
        if not 0 <= chunk < self.n_chunks:
            raise RlAbnError(
                f"{self.path}: expected a chunk from 0 to {self.n_chunks - 1:,}, got {chunk:,}"
            )
        return min(self.meta.chunk_steps, self.n_steps - chunk * self.meta.chunk_steps)

    def _sheet(self, chunk: int) -> _Sheet:
        path, n = self.sheet(chunk)
        return decode_sheet(path, n, self.meta.sheet_columns, self.meta.frame_size)

    def _trace(self, chunk: int) -> dict[str, np.ndarray]:
        path = chunk_file(self.path, TRACE, chunk)
        trace = read_trace(path, self.meta.arrays, self._length(chunk))
        n_actions = len(self.meta.action_names)
        if ((trace["action"] < 0) | (trace["action"] >= n_actions)).any():
            raise RlAbnError(f"{path}: expected actions from 0 to {n_actions - 1}, got others")
        return trace


def _kept(kept: OrderedDict[int, _T], key: int, read: Callable[[int], _T]) -> _T:
    """Returns what was read last under a key, or reads it."""
    if key in kept:
        kept.move_to_end(key)
    else:
        kept[key] = read(key)
        if len(kept) > _KEPT_CHUNKS:
            kept.popitem(last=False)
    return kept[key]
