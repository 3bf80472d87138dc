"""The command line that runs now, for the record of what it makes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_typed: str | None = None


def typed() -> str | None:
    """Returns the command line that was typed; None where Python code does the work."""
    return _typed


def typed_or(*words: str, settings: Sequence[str] = ()) -> str:
    """Returns the command line that was typed, or else the one that does the same.

    Args:
        words: That one's, after "rl-abn".
        settings: What it has a --set for, each.
    """
    more = (word for setting in settings for word in ("--set", setting))
    return _typed or _line([*words, *more])


@contextmanager
def running(words: Sequence[str]) -> Iterator[None]:
    """Remembers what was typed while the command runs."""
    global _typed
    before, _typed = _typed, _line(words)
    try:
        yield
    finally:
        _typed = before


def _line(words: Sequence[str]) -> str:
    return shlex.join(["rl-abn", *words])
