"""The one error a user's mistake raises; the command line prints it as one line and exits 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RlAbnError(Exception):
    """A mistake in what the user gave us: what was expected, what was got, the nearest choice."""


def did_you_mean(got: str, choices: Iterable[str]) -> str:
    """Returns a phrase that names the nearest valid choice, or lists them where none is near.

    Args:
        got: The name that was given.
        choices: The names that exist.
    """
    names = sorted(choices)
    near = get_close_matches(got, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"choose one of: {', '.join(names)}"
