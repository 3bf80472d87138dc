"""The one error a user's mistake raises, in one line; the command line prints it and exits 2."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAMED = 24


class RlAbnError(Exception):
    """A mistake in what the user gave us: what was expected, what was got, the nearest choice."""


def warn(message: str) -> None:
    """Says on standard error, in one line, what went wrong and was got round."""
    print(f"rl-abn: warning: {' '.join(message.split())}", file=sys.stderr, flush=True)


def did_you_mean(got: str, choices: Iterable[str], otherwise: str | None = None) -> str:
    """Returns a phrase that names the nearest valid choice, or lists them where none is near.

    Args:
        got: The name that was given.
        choices: The names that exist.
        otherwise: What to say instead of a list where none is near.
    """
    names = sorted(choices)
    near = get_close_matches(got, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    if otherwise is not None:
        return otherwise
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"choose one of: {', '.join(names[:MOST_NAMED])}{more}"


def printable(text: str) -> str:
    """Returns text without what a terminal would take for a command."""
    return text if text.isprintable() else ascii(text)
