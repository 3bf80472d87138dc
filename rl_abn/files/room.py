"""Finds out before hours of work whether a folder can be written and has room."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from rl_abn.errors import RlAbnError

_WRITTEN = 2**20  # written where a file system cannot set room aside


def check_room(folder: Path, n_bytes: int) -> None:
    """Sets room for a file aside in a folder, and gives it free again.

    Args:
        folder: The folder.
        n_bytes: How much is going to be written, above 0.

    Raises:
        RlAbnError: If the folder cannot be written or has less room.
    """
    path = folder / f".room.{os.getpid()}.partial"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _allocate(descriptor, n_bytes)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
    except OSError as error:
        raise RlAbnError(
            f"{folder}: expected room for a checkpoint of {max(1, n_bytes // 2**20):,} MiB, got "
            f"none: {error.strerror}"
        ) from None


def _allocate(descriptor: int, n_bytes: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, n_bytes)
    except (AttributeError, OSError) as error:  # macOS has none, some network file systems neither
        unknown = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
        if isinstance(error, OSError) and error.errno not in unknown:
            raise
        os.write(descriptor, bytes(min(n_bytes, _WRITTEN)))
