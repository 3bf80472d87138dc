"""Text and JSON files: written atomically, read without trusting their content."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError

MOST_BYTES = 16 * 2**20


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Reads a UTF-8 text file of limited size.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no regular file (reading a pipe could block for ever), too large, or
            not UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise ValueError("something that is no regular file")
    if status.st_size > most_bytes:
        raise ValueError(f"{status.st_size:,} bytes, more than the {most_bytes:,} there can be")
    return path.read_text("utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RlAbnError: If the file is missing or no JSON object.
    """
    try:
        data = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RlAbnError(f"{path}: expected JSON, got {brief(error)}") from None
    if not isinstance(data, dict):
        raise RlAbnError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def write_output(path: Path, data: Mapping[str, Any] | bytes) -> None:
    """Writes a mapping as JSON, or bytes as they are; missing folders are created.

    Raises:
        RlAbnError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            write_atomically(path, data)
        else:
            write_json(path, data)
    except OSError as error:
        raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None


def check_output(path: Path) -> None:
    """Refuses a place where no file can be written; before any work is done, and it writes nothing.

    Raises:
        RlAbnError: If it is a folder, or its folder cannot be made or written to.
    """
    try:
        if path.is_dir():
            raise _os_error(errno.EISDIR)
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            raise _os_error(errno.ENOTDIR)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _os_error(errno.EACCES)
    except OSError as error:
        raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically; NaN and infinity become null."""
    write_atomically(path, json.dumps(_without_nan(data), indent=2) + "\n")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a temporary file, flushes it to disk and renames it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        flush(partial)
        partial.rename(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Flushes a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kind_of(path: Path) -> str | None:
    """Returns "a file" or "a folder"; None if nothing is there or the name is invalid."""
    try:
        return "a file" if path.is_file() else "a folder" if path.is_dir() else None
    except OSError:
        return None


def brief(error: Exception) -> str:
    """Returns the first line of an error's message, at most 160 characters."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def kind_and_reason(error: BaseException) -> str:
    """Returns an error's type and the first line of its message."""
    reason = next(iter(str(error).splitlines()), "no reason given")
    return f"{type(error).__name__}: {reason}"


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
