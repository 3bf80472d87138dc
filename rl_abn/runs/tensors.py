"""Tensors on disk, as safetensors: nothing in a file is executed, and everything is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief, flush


def hash_of(weights: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of weights: of names, types, shapes and bytes, in the order of names."""
    digest = sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors to a safetensors file and flushes it to disk.

    Raises:
        OSError, SafetensorError: If it cannot be written.
    """
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    flush(path)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors to a safetensors file under a temporary name, then renames it.

    Raises:
        RlAbnError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(partial, tensors)
        partial.rename(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            partial.unlink()
        raise RlAbnError(f"{path}: cannot be written: {error}") from None


def load_tensors(
    path: Path, device: str = "cpu", most_bytes: int | None = None
) -> dict[str, Tensor]:
    """Reads a safetensors file; nothing in it is executed.

    Args:
        path: The file.
        device: Where the tensors go.
        most_bytes: Refuses a larger file before any of it is in memory; None takes any.

    Raises:
        RlAbnError: If it is missing, too large, cut off or no safetensors file.
    """
    try:
        size = path.stat().st_size
        if most_bytes is not None and size > most_bytes:
            raise RlAbnError(
                f"{path}: expected at most {most_bytes:,} bytes for this agent, got {size:,}"
            )
        if not path.is_file():  # a pipe would be waited for for ever
            raise OSError("something that is no regular file")
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise RlAbnError(f"{path}: expected a safetensors file, got {brief(error)}") from None


def check_weights(path: Path, got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuses weights that are not the model's: other names, shapes, types, or NaN and infinity.

    Args:
        path: The file to name.
        got: Tensors of the file.
        expected: Tensors of the model, or of its optimizer.

    Raises:
        RlAbnError: The first thing that does not fit.
    """
    for name in sorted(expected.keys() ^ got.keys()):
        where = "the file lacks it" if name in expected else "the agent has none"
        raise RlAbnError(
            f"{path}: expected the agent's tensors, got a difference: {name[:160]!s} ({where})"
        )
    for name, tensor in expected.items():
        if got[name].shape != tensor.shape:
            raise RlAbnError(
                f"{path}: expected {name} of shape {tuple(tensor.shape)}, "
                f"got {tuple(got[name].shape)}"
            )
        if got[name].dtype != tensor.dtype:
            raise RlAbnError(
                f"{path}: expected {name} in {tensor.dtype}, got {got[name].dtype}".replace(
                    "torch.", ""
                )
            )
        if not torch.isfinite(got[name]).all():
            raise RlAbnError(f"{path}: expected finite numbers in {name}, got NaN or infinity")


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Returns how many bytes tensors take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
