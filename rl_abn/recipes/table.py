"""What every recipe's tables are made of: kinds of values, checks, schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from rl_abn.errors import did_you_mean

UNKNOWN_OPTION = "unknown_option"
"""The type of the error for a key that is no field, where options of a mechanism may stand."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {text!r}")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, lt=2**53)]
Byte = Annotated[int, Field(ge=0, le=255)]
ScreenSize = Annotated[int, Field(ge=36, le=512)]
# Printed on terminals and drawn into images, so untrusted text may have no control characters.
LONGEST_LABEL = 255
Label = Annotated[str, Field(max_length=LONGEST_LABEL), AfterValidator(_printable)]
# Not strict, because TOML has arrays where Python has tuples.
Colour = Annotated[tuple[Byte, Byte, Byte], Field(strict=False)]
Span = Annotated[tuple[int, int], Field(strict=False)]


def check_name(field: str, name: str, registry: Iterable[str]) -> None:
    """Raises ValueError, with the nearest name, if a name is not in a registry."""
    if name not in registry:
        raise ValueError(f"unknown {field} '{name}': {did_you_mean(name, registry)}")


def check_span(field: str, span: tuple[int, int], end: int) -> None:
    """Raises ValueError unless [first, end) is a span within 0 to `end`."""
    if not 0 <= span[0] < span[1] <= end:
        raise ValueError(f"expected {field} = [first, end] within 0 to {end}, got {span}")


def check_divides(field: str, part: int, whole_field: str, whole: int) -> None:
    """Raises ValueError, with the nearest divisor, unless a part divides the whole."""
    if whole % part:
        near = next(d for d in range(min(part, whole), 0, -1) if whole % d == 0)
        raise ValueError(
            f"expected a {field} that divides {whole_field} = {whole}, got {part}; "
            f"the nearest below is {near}"
        )


class Table(BaseModel):
    """A table of a recipe. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def with_new_names(table: object, names: Mapping[str, str]) -> object:
    """Returns a table with renamed fields under their new names; `names` maps old to new."""
    if not isinstance(table, dict):
        return table
    return {names.get(key, key): value for key, value in table.items()}


class LinearSchedule(Table):
    """A value that changes linearly from `start` to `end` over the training."""

    kind: Literal["linear"] = "linear"
    start: NotNegative
    end: NotNegative = 0.0


def _kind_of_value(value: object) -> str:
    return "<schedule>" if isinstance(value, dict | LinearSchedule) else "<number>"


# pydantic puts the tags into an error's location; no key looks like them.
ScheduledFloat = Annotated[
    Annotated[Positive, Tag("<number>")] | Annotated[LinearSchedule, Tag("<schedule>")],
    Discriminator(_kind_of_value),
]

ScheduledWeight = Annotated[
    Annotated[NotNegative, Tag("<number>")] | Annotated[LinearSchedule, Tag("<schedule>")],
    Discriminator(_kind_of_value),
]


def schedule(value: float | LinearSchedule) -> Callable[[float], float]:
    """Returns a function of the progress remaining (1 at the start, 0 at the end), as SB3 uses.

    The last rollout may end a little after the last step, where SB3's progress is negative; the
    schedule stays at its end value there.
    """
    if isinstance(value, LinearSchedule):
        start, end = value.start, value.end
        return lambda remaining: end + (start - end) * max(remaining, 0.0)
    constant = float(value)
    return lambda _: constant
