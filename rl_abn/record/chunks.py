"""The files of an episode's chunks."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.record.meta import ArraySpec

FRAMES, TRACE, STATES = "frames", "trace", "states"
_SUFFIXES = {FRAMES: "png", TRACE: "safetensors", STATES: "z"}
_LEVEL = 6
_MOST_STATE_BYTES = 2**26
_UNREADABLE = (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, zlib.error)


def chunk_file(folder: Path, kind: str, chunk: int) -> Path:
    """Returns the path of a chunk's file; `kind` is `FRAMES`, `TRACE` or `STATES`."""
    return folder / kind / f"{chunk:06d}.{_SUFFIXES[kind]}"


def write_file(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it: a kill leaves it whole or not at all.

    Raises:
        RlAbnError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.rename(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None


def pack_trace(steps: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays [n, ...] as a safetensors file."""
    return save({name: np.asarray(array, order="C") for name, array in steps.items()})


def count_steps(path: Path, arrays: Mapping[str, ArraySpec]) -> int:
    """Returns how many steps a trace has, by its header; checks names and shapes.

    Raises:
        RlAbnError: If it is missing, cut off, or does not have these arrays.
    """
    try:
        _check_regular(path)
        with safe_open(path, framework="np") as file:
            names = set(file.keys())
            if names != set(arrays):
                different = sorted(names ^ set(arrays))[0][:60]
                raise ValueError(f"a difference: {different!a}")
            lengths = set()
            for name, spec in arrays.items():
                n, *shape = file.get_slice(name).get_shape()
                if tuple(shape) != spec.shape:
                    raise ValueError(f"{name} of shape {shape} a step")
                lengths.add(n)
            if len(lengths) != 1 or 0 in lengths:
                raise ValueError("arrays of different lengths, or none")
            return int(lengths.pop())
    except _UNREADABLE as error:
        raise RlAbnError(f"{path}: expected the trace of a chunk, got {brief(error)}") from None


def read_trace(path: Path, arrays: Mapping[str, ArraySpec], n: int) -> dict[str, np.ndarray]:
    """Reads some arrays of a trace, [n, ...] by name, and nothing else of it.

    Raises:
        RlAbnError: If it is damaged, does not have these arrays, or a number is not finite.
    """
    try:
        _check_regular(path)
        with safe_open(path, framework="np") as file:
            found: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in arrays}
    except _UNREADABLE as error:
        raise RlAbnError(f"{path}: expected the trace of a chunk, got {brief(error)}") from None
    for name, array in found.items():
        spec = arrays[name]
        if array.dtype != spec.dtype or array.shape != (n, *spec.shape):
            raise RlAbnError(
                f"{path}: expected {name} of {spec.dtype} {[n, *spec.shape]}, got {array.dtype} "
                f"{list(array.shape)}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RlAbnError(f"{path}: expected finite numbers in {name}, got NaN or infinity")
    return found


def pack_state(state: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays as a deflated safetensors file: of an emulator's 150 KB, 15 are left."""
    return zlib.compress(pack_trace(state), _LEVEL)


def read_state(path: Path) -> dict[str, np.ndarray]:
    """Reads a state, arrays by name.

    Raises:
        RlAbnError: If it is missing, damaged or too large.
    """
    try:
        _check_regular(path)
        if path.stat().st_size > _MOST_STATE_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        inflater = zlib.decompressobj()
        content = inflater.decompress(path.read_bytes(), _MOST_STATE_BYTES)
        if not inflater.eof:
            raise ValueError("a cut-off file, or more than there can be")
        state: dict[str, np.ndarray] = load(content)
    except _UNREADABLE as error:
        raise RlAbnError(f"{path}: expected a state, got {brief(error)}") from None
    return state


def entry(
    state: Mapping[str, np.ndarray], name: str, dtype: str, shape: tuple[int | None, ...]
) -> np.ndarray:
    """Returns an array of a state.

    Args:
        state: The state.
        name: Of the array.
        dtype: That it has to have.
        shape: That it has to have; None is any length.

    Raises:
        RlAbnError: If there is none, or it is another.
    """
    found = state.get(name)
    if (
        found is None
        or found.dtype != dtype
        or found.ndim != len(shape)
        or any(want not in (None, got) for want, got in zip(shape, found.shape, strict=True))
        or (found.dtype.kind == "f" and not np.isfinite(found).all())
    ):
        wanted = ", ".join("n" if side is None else str(side) for side in shape)
        got = "none" if found is None else f"{found.dtype} {list(found.shape)}"
        raise RlAbnError(f"expected '{name}' of {dtype} [{wanted}] in a state, got {got}")
    return found


def nbytes(spec: ArraySpec) -> int:
    """Returns the bytes of an array at one step."""
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _check_regular(path: Path) -> None:
    if not path.is_file():  # a pipe would be waited for for ever
        raise OSError("no regular file")
