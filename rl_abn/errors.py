"""The error for a user's mistake; the command line prints it in one line and exits 2."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from itertools import takewhile

MOST_NAMED = 24


class RlAbnError(Exception):
    """A user's mistake: what was expected, what was given, the nearest valid choice."""


def warn(message: str) -> None:
    """Prints a warning on standard error, in one line."""
    say(f"warning: {message}")


def say(message: str) -> None:
    """Prints what a user should know on standard error, in one line."""
    line = without_control_characters(" ".join(message.split()))
    print(f"rl-abn: {line}", file=sys.stderr, flush=True)


def did_you_mean(got: str, choices: Iterable[str], otherwise: str | None = None) -> str:
    """Returns a phrase with the nearest valid choice; if none is near, `otherwise` or a list."""
    names = sorted(choices)
    near = get_close_matches(got, names, n=3, cutoff=0.5)
    if near:

        def likeness(name: str) -> tuple[float, int]:
            # As alike in all, names that begin alike are nearer: a slip comes late in a word.
            begin = takewhile(lambda pair: pair[0] == pair[1], zip(name, got, strict=False))
            return SequenceMatcher(None, name, got).ratio(), len(list(begin))

        return f"did you mean '{max(near, key=likeness)}'?"
    if otherwise is not None:
        return otherwise
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"choose one of: {', '.join(names[:MOST_NAMED])}{more}"


def printable(text: str) -> str:
    """Escapes a text with unprintable characters, which could control a terminal."""
    return text if text.isprintable() else ascii(text)


def without_control_characters(text: str) -> str:
    """Escapes single unprintable characters, which could control a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
