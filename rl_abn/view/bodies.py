"""What a request says: JSON within limits, checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np

from rl_abn.errors import RlAbnError, did_you_mean

DEEPEST = 8


def read_body(content: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RlAbnError: If it is none, is nested too deeply, or a number is NaN or infinite.
    """
    if not content.strip():
        return {}
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RlAbnError("expected JSON in the body, got something else") from None
    if not isinstance(data, dict):
        raise RlAbnError(f"expected a JSON object in the body, got {_kind(data)}")
    if _depth(data, DEEPEST) > DEEPEST:
        raise RlAbnError(f"expected JSON of at most {DEEPEST} levels, got more")
    return data


class Body:
    """An object of a request, whose fields are asked for by name and type.

    Args:
        data: The object.
        known: The names that it may have.
        where: What it is called in messages.

    Raises:
        RlAbnError: If it is no object, or has another name.
    """

    def __init__(self, data: Any, known: Collection[str], where: str = "the body") -> None:
        if not isinstance(data, Mapping):
            raise RlAbnError(f"expected an object as {where}, got {_kind(data)}")
        for name in data:
            if name not in known:
                hint = did_you_mean(str(name)[:40], known)
                raise RlAbnError(f"unknown field {str(name)[:40]!a} in {where}: {hint}")
        self.data = data
        self.where = where

    def has(self, name: str) -> bool:
        """Returns whether a field is there and not null."""
        return self.data.get(name) is not None

    def whole(self, name: str, low: int, high: int, otherwise: int | None = None) -> int:
        """Returns a whole number in a range.

        Raises:
            RlAbnError: If it is another, or is missing and there is no `otherwise`.
        """
        value = self.data.get(name)
        if value is None and otherwise is not None:
            return otherwise
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            self._refuse(name, f"a whole number from {low:,} to {high:,}")
        return int(value)

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """Returns true or false.

        Raises:
            RlAbnError: If it is neither.
        """
        value = self.data.get(name, otherwise)
        if not isinstance(value, bool):
            self._refuse(name, "true or false")
        return bool(value)

    def one_of(self, name: str, choices: Collection[str], otherwise: str | None = None) -> str:
        """Returns one of some words.

        Raises:
            RlAbnError: If it is none of them, or is missing and there is no `otherwise`.
        """
        value = self.data.get(name)
        if value is None and otherwise is not None:
            return otherwise
        if not isinstance(value, str) or value not in choices:
            self._refuse(name, f"one of {', '.join(choices)}")
        return str(value)

    def text(self, name: str, most: int) -> str:
        """Returns a line of text.

        Raises:
            RlAbnError: If it is none, or a longer one.
        """
        value = self.data.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
            self._refuse(name, f"a line of 1 to {most} characters")
        return str(value)

    def items(self, name: str, most: int) -> list[Any]:
        """Returns a list of 1 to so many items.

        Raises:
            RlAbnError: If it is none, or a longer one.
        """
        value = self.data.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self._refuse(name, f"a list of 1 to {most:,} items")
        return list(value)

    def _refuse(self, name: str, expected: str) -> NoReturn:
        got = self.data.get(name)
        shown = "none" if got is None else f"{got!a}" if _is_short(got) else _kind(got)
        raise RlAbnError(f"expected {expected} as '{name}' in {self.where}, got {shown}")


def read_grid(rows: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Returns numbers in rows and columns, float32 [rows, columns].

    Raises:
        RlAbnError: If it is not of this size, or a number is none.
    """
    n_rows, n_columns = size
    expected = f"expected {n_rows}x{n_columns} numbers (rows x columns) as {where}"
    if not isinstance(rows, list) or len(rows) != n_rows:
        raise RlAbnError(f"{expected}, got {_kind(rows)}")
    for row in rows:
        if not isinstance(row, list) or len(row) != n_columns:
            raise RlAbnError(f"{expected}, got a row that is {_kind(row)}")
        for value in row:
            if type(value) not in (int, float) or not abs(value) <= 1e6:
                raise RlAbnError(f"{expected}, got {_kind(value)}")
    return np.array(rows, np.float32)


def _depth(value: Any, most: int) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if most < 0 or not isinstance(value, dict | list):
        return 0 if most >= 0 else 1
    return 1 + max((_depth(each, most - 1) for each in inner), default=0)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _is_short(value: Any) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= 40


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    names = {dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if abs(value) < 1e15 and math.isfinite(value) else "a huge number"
    return names.get(type(value), "something else")
