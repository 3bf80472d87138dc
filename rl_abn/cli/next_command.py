"""Commands and paths as they are printed: they can be typed again, and control no terminal."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """Returns a command line to type; words with blanks are quoted.

    Control characters and bytes that are no text are written as bash, zsh and ksh read them,
    such as $'a\\x1bb'.
    """
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 126 or byte in b"'\\" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{escaped}'"
