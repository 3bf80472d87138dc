"""Options that a network or a mechanism has of its own: what a recipe may set them to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from rl_abn.errors import did_you_mean

Option = bool | int | float | Annotated[str, Field(max_length=255)] | list[int]
"""A value that a recipe can give an option."""

# By the type of an option's default: the types of values it takes, and how that is said.
_TYPES: Mapping[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
    str: ((str,), "a word"),
    tuple: ((list, tuple), "a list"),
}


def check_option(owner: str, option: str, value: object, defaults: Mapping[str, object]) -> None:
    """Checks an option's name, and its value by the type of its default.

    Args:
        owner: Whose option it is, for the message.
        option: Its name.
        value: Its value.
        defaults: The owner's options and their defaults.

    Raises:
        ValueError: If the owner has no such option, or it takes no such value.
    """
    if option not in defaults:
        raise ValueError(
            f"expected an option that {owner} has, got '{option}': "
            + (did_you_mean(option, defaults) if defaults else "it has none")
        )
    kind = type(defaults[option])
    if kind not in _TYPES:  # such as None: the default says nothing about the type
        return
    types, said = _TYPES[kind]
    if not isinstance(value, types) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"expected {owner}'s {option} to be {said}, got {value!r}")
