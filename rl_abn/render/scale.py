"""From a map's values to how strongly they are shown, and how that is written beside a picture."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float, Float32

from rl_abn.errors import RlAbnError
from rl_abn.render import draw

Scale: TypeAlias = Literal["fixed", "frame", "even", "even_frame"]
"""How map values are shown.

"fixed": 0..1 as they are, so that pictures can be compared. "frame": each map stretched to its own
range. "even": multiples of an even map's value, 0 to `MOST_TIMES_EVEN`, for maps that sum to 1.
"even_frame": such multiples, each map stretched to its own range.
"""

MOST_TIMES_EVEN = 8
"""On the scale "even", larger multiples are shown like this one."""
# A smaller range is rounding noise; stretched to 0..1 it would look like a pattern.
_FLAT = 1e-6
_MOST_DECIMALS = 7


def check_scale(scale: str) -> None:
    """Checks that there is such a scale.

    Raises:
        RlAbnError: If not.
    """
    if scale not in get_args(Scale):
        *names, last = map(repr, get_args(Scale))
        raise RlAbnError(f"expected scale {', '.join(names)} or {last}, got {scale!r}")


def scale_of(scale: Scale, *, sums_to_one: bool) -> Scale:
    """Returns the scale for the maps of a mechanism: in multiples of an even map if they sum to 1.

    Args:
        scale: "fixed" or "frame", as asked for.
        sums_to_one: Whether the mechanism's maps do.
    """
    if not sums_to_one:
        return scale
    return "even_frame" if is_stretched(scale) else "even"


def is_stretched(scale: Scale) -> bool:
    """Returns whether each map is stretched to its own range."""
    return scale in ("frame", "even_frame")


def scaled(attention_map: Float[np.ndarray, "h w"], scale: Scale) -> Float32[np.ndarray, "h w"]:
    """Returns how strongly each value is shown, 0..1.

    Args:
        attention_map: Floats [h, w]: in 0..1, or multiples of an even map's value; values beyond
            the scale's ends are shown like those.
        scale: How. A constant map is 0 everywhere where maps are stretched.

    Raises:
        RlAbnError: If the map is not two-dimensional or not finite, or the scale is unknown.
    """
    check_scale(scale)
    shown = np.asarray(attention_map, dtype=np.float32)
    if shown.ndim != 2 or 0 in shown.shape:
        raise RlAbnError(f"expected an attention map [h, w], got {list(shown.shape)}")
    if not np.isfinite(shown).all():
        raise RlAbnError("expected an attention map of finite values, got NaN or infinity")
    if scale == "even":
        return np.clip(shown / MOST_TIMES_EVEN, 0.0, 1.0)
    if scale != "even_frame":
        shown = np.clip(shown, 0.0, 1.0)
    if scale == "fixed":
        return shown
    low, high = float(shown.min()), float(shown.max())
    return np.zeros_like(shown) if high - low < _FLAT else (shown - low) / (high - low)


def end_labels(scale: Scale) -> tuple[str, str]:
    """Returns what stands at the two ends of a colour bar."""
    if is_stretched(scale):
        return "min", "max"
    return ("0", f"{MOST_TIMES_EVEN}+") if scale == "even" else ("0", "1")


def scale_label(scale: Scale) -> tuple[str, draw.Colour]:
    """Returns the text beside a colour bar and its colour."""
    unit = "× even, " if scale in ("even", "even_frame") else ""
    if is_stretched(scale):
        return f"{unit}per-frame scale: not comparable", draw.WARNING
    return (f"{unit}fixed scale" if unit else "0..1 fixed scale"), draw.MUTED


def range_label(attention_map: Float[np.ndarray, "h w"], scale: Scale) -> str:
    """Returns a map's range as text, with as many digits as tell its ends apart.

    Example:
        >>> range_label(np.array([[0.4987, 0.5013]]), "fixed")
        '0.4987 – 0.5013'
    """
    low, high = float(attention_map.min()), float(attention_map.max())
    unit = " × even" if scale in ("even", "even_frame") else ""
    if not high - low >= _FLAT:
        return f"{low:.2f}{unit} everywhere"
    decimals = min(max(2, 1 + math.ceil(-math.log10(high - low))), _MOST_DECIMALS)
    return f"{low:.{decimals}f} – {high:.{decimals}f}{unit}"
