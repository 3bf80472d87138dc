"""Names that a policy is made of."""

from __future__ import annotations

from collections.abc import Iterable


def map_names_of(mechanism: str, maps: str) -> tuple[str, ...]:
    """Returns the names of an agent's maps, none for mechanism "none".

    Args:
        mechanism: How a map gates the features.
        maps: "shared" or "split".
    """
    if mechanism == "none":
        return ()
    return ("shared",) if maps == "shared" else ("policy", "value")


def expect(field: str, name: str, names: Iterable[str]) -> None:
    """Raises ValueError unless a field's name is one of those there are."""
    if name not in names:
        raise ValueError(f"expected {field} of {sorted(names)}, got '{name}'")
