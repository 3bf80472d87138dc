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


def go_on(arguments: argparse.Namespace, folder: Path, *, saved: bool) -> str:
    """Returns the command line that goes on with a training that was stopped.

    It is the one that was typed, with all its options.

    Args:
        arguments: What was typed; `words` are all words of it.
        folder: The run folder.
        saved: Whether there is a checkpoint. Where a run was overwritten and there is none yet, the
            older run was put back in the folder, and is overwritten again.
    """
    words = ["rl-abn", *arguments.words]
    if arguments.on_exists == "new":
        words += ["--out", str(folder)]  # the last of each counts
    if arguments.on_exists in (None, "new") or (saved and arguments.on_exists == "overwrite"):
        words += ["--on-exists", "resume"]
    return command(*words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 126 or byte in b"'\\" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{escaped}'"
