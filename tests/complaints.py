"""Checks for the one-line message of a user's mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rl_abn.errors import RlAbnError


def complaint(mistake: Callable[[], object], longest: int = 500) -> str:
    """Returns the one line that a mistake gets; names in it can make it long."""
    with pytest.raises(RlAbnError) as caught:
        mistake()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < longest
    return message
