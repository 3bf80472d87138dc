"""Commands and paths as they are printed: they can be typed again, and control no terminal."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    r"""Returns a command line to type; words with blanks are quoted.

    Control characters and bytes that are no text are written as bash, zsh and ksh read them,
    such as $'a\x1bb'.
    """
    return " ".join(_quoted(str(word)) for word in words)


def begin_again(arguments: argparse.Namespace, folder: Path) -> str:
    """Returns the command line of a training of which nothing was saved.

    Args:
        arguments: What was typed; `words` are all words of it.
        folder: Its run folder. It is there now, unless an older run was put back in it.
    """
    words = ["rl-abn", *arguments.words]
    if arguments.on_exists is None:
        words += ["--on-exists", "resume"]
    elif arguments.on_exists == "new":
        words += ["--out", str(folder), "--on-exists", "resume"]  # the last of each counts
    return command(*words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 126 or byte in b"'\\" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{escaped}'"
