"""Standard output and error that never end a command: a reader that left, a full disk, closed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

# The reader of a pipe has gone, or the terminal has: nobody waits for more.
_LEFT = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET)


class SafeStream:
    r"""A text stream; what can no longer be written is dropped.

    Characters that its encoding lacks are written as escapes, such as \u2026.

    Args:
        stream: The stream; everything but writing is its own.

    Attributes:
        lost: Why text was lost that somebody may miss, such as a full disk; None where nothing
            was, or where the reader had gone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_broken = False
        self.lost: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text, or drops it."""
        if not self._is_broken:
            try:
                self._write(text)
            except OSError as error:
                self._break_off(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes texts, or drops them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what is buffered, or drops it."""
        if not self._is_broken:
            try:
                self._stream.flush()
            except OSError as error:
                self._break_off(error)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            escaped = text.encode(error.encoding, "backslashreplace")
            self._stream.write(escaped.decode(error.encoding))

    def _break_off(self, error: OSError) -> None:
        self._is_broken = True
        if error.errno not in _LEFT:
            self.lost = error.strerror or str(error)
        # What is still buffered, and what libraries write themselves, goes nowhere.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()


@contextmanager
def safe_output() -> Iterator[SafeStream]:
    """Makes standard output and error safe while a command runs.

    Yields:
        Standard output.
    """
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, err = (SafeStream(stream or _nothing()) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _fill_closed_descriptors() -> None:
    """Opens 0, 1 and 2 on nothing where they are closed.

    Else the next file that is opened, such as a checkpoint, would get what is meant for a terminal.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _nothing() -> TextIO:
    return Path(os.devnull).open("w")  # as long as the command runs
