"""An attention map as a light tint on a frame that stays readable under every map.

Each pixel is blended, in proportion to its map value, between two versions of the frame: one for
value 0, slightly dimmer and greyer, and one for value 1, mixed with violet light. Violet is the
hue that Atari games use least, and it leaves the green channel, which carries most of the visible
detail, almost unchanged.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.map_bars import map_bars

Scale: TypeAlias = Literal["fixed", "frame"]

UNSEEN_BRIGHTNESS = 0.3
"""Share of its brightness that the frame keeps outside `seen_rows`."""
REST_BRIGHTNESS = 0.9
"""Share of its brightness that the frame keeps where the map is 0."""
REST_SATURATION = 0.75
"""Share of its saturation that the frame keeps where the map is 0."""
TINT_SHARE = (0.42, 0.12, 0.62)
"""Share of full red, green and blue light that is mixed in where the map is 1."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_REST = REST_BRIGHTNESS * (
    REST_SATURATION * np.eye(3) + (1.0 - REST_SATURATION) * np.tile(_LUMA, (3, 1))
)
_LIT = np.rint(
    np.arange(256)[None, :, None] * (1.0 - np.array(TINT_SHARE)) + 255.0 * np.array(TINT_SHARE)
).astype(np.uint8)
# A smaller range is rounding noise; stretched to 0..1 it would look like a pattern.
_FLAT = 1e-6


def check_frame(frame: np.ndarray) -> None:
    """Checks that an array is a frame, uint8 [H, W, 3].

    Raises:
        RlAbnError: If not.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise RlAbnError(
            f"expected a frame of uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}"
        )


def check_scale(scale: str) -> None:
    """Checks that a scale is "fixed" or "frame".

    Raises:
        RlAbnError: If not.
    """
    if scale not in ("fixed", "frame"):
        raise RlAbnError(f"expected scale 'fixed' or 'frame', got {scale!r}")


def scaled(attention_map: Float[np.ndarray, "h w"], scale: Scale) -> Float32[np.ndarray, "h w"]:
    """Returns the map values as shown.

    Args:
        attention_map: Floats [h, w]; clipped to 0..1.
        scale: "fixed" leaves the values as they are; "frame" stretches them from the map's own
            minimum and maximum to 0 and 1, and makes a constant map 0 everywhere.

    Raises:
        RlAbnError: If the map is not two-dimensional or not finite, or the scale is unknown.
    """
    check_scale(scale)
    shown = np.asarray(attention_map, dtype=np.float32)
    if shown.ndim != 2 or 0 in shown.shape:
        raise RlAbnError(f"expected an attention map [h, w], got {list(shown.shape)}")
    if not np.isfinite(shown).all():
        raise RlAbnError("expected an attention map of finite values, got NaN or infinity")
    shown = np.clip(shown, 0.0, 1.0)
    if scale == "fixed":
        return shown
    low, high = float(shown.min()), float(shown.max())
    return np.zeros_like(shown) if high - low < _FLAT else (shown - low) / (high - low)


def enlarged(frame: UInt8[np.ndarray, "H W 3"], factor: int) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Returns the frame with each pixel as a square of `factor` by `factor` pixels.

    Raises:
        RlAbnError: If the factor is no integer >= 1.
    """
    if not isinstance(factor, int) or factor < 1:
        raise RlAbnError(f"expected enlarge to be a whole number from 1, got {factor!r}")
    if factor == 1:
        return frame
    size = (frame.shape[1] * factor, frame.shape[0] * factor)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST))


def overlay(
    frame: UInt8[np.ndarray, "H W 3"],
    attention_map: Float[np.ndarray, "h w"],
    *,
    scale: Scale = "fixed",
    enlarge: int = 1,
    seen_rows: tuple[int, int] | None = None,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Returns the frame with the attention map as a light violet tint.

    The map is stretched over the part of the frame that the observation covers: all of it, or
    `seen_rows`. Other rows are dark. A map of one column, as weights of channels are, has no place
    in the frame and is drawn as bars instead.

    Args:
        frame: uint8 [H, W, 3].
        attention_map: Floats [h, w] of any size, or [n, 1]; clipped to 0..1.
        scale: "fixed" shows map values as they are, so that images can be compared; "frame"
            stretches each map to its own range.
        enlarge: Integer enlargement factor of the frame.
        seen_rows: First row covered by the map and the row after the last; None is all.

    Returns:
        uint8 [H * enlarge, W * enlarge, 3].

    Raises:
        RlAbnError: If a shape, a dtype, the scale, `enlarge` or `seen_rows` is invalid, or the map
            has NaN.
    """
    check_frame(frame)
    if seen_rows is not None:
        top, end = seen_rows
        if not 0 <= top < end <= len(frame):
            raise RlAbnError(f"expected rows within 0 to {len(frame)}, got {top} to {end}")
        picture = enlarged(cv2.convertScaleAbs(frame, alpha=UNSEEN_BRIGHTNESS), enlarge)
        seen = overlay(frame[top:end], attention_map, scale=scale, enlarge=enlarge)
        picture[top * enlarge : end * enlarge] = seen
        return picture
    shown = scaled(attention_map, scale)
    if shown.shape[1] == 1:
        return map_bars(shown[:, 0], len(frame) * enlarge, frame.shape[1] * enlarge)
    rest = enlarged(np.asarray(cv2.transform(frame, _REST)), enlarge)
    lit = enlarged(np.asarray(cv2.LUT(frame, _LIT)), enlarge)
    # Linear, since cubic interpolation adds halos and peaks that the map does not have.
    weight = cv2.resize(shown, (rest.shape[1], rest.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.blendLinear(rest, lit, 1.0 - weight, weight))


def colour_bar(height: int, width: int, scale: Scale = "fixed") -> draw.Canvas:
    """Returns a legend of the tint from the lowest map value to the highest.

    It is uint8 [height, width, 3]. The upper half shows the tint on black, the lower half on grey,
    because it looks different on each. The ends are labelled 0 and 1, or min and max for the scale
    "frame".

    Raises:
        RlAbnError: If the bar is smaller than 8×64 pixels or the scale is unknown.
    """
    check_scale(scale)
    if height < 8 or width < 64:
        raise RlAbnError(f"expected a colour bar of 8×64 pixels or more, got {height}×{width}")
    low, high = ("0", "1") if scale == "fixed" else ("min", "max")
    size = min(12, height)
    canvas = draw.blank(height, width)
    left, right = draw.text_width(low, size) + 6, draw.text_width(high, size) + 6
    strip = np.zeros((height, width - left - right, 3), dtype=np.uint8)
    strip[height // 2 :] = 140
    ramp = np.linspace(0.0, 1.0, strip.shape[1], dtype=np.float32)[None]
    draw.paste(canvas, overlay(strip, ramp), left, 0)
    baseline = round(height / 2 + 0.36 * size)
    draw.draw_text(canvas, low, 0, baseline, size=size, colour=draw.MUTED)
    draw.draw_text(canvas, high, width, baseline, size=size, colour=draw.MUTED, anchor="right")
    return canvas


def scale_label(scale: Scale) -> tuple[str, draw.Colour]:
    """Returns the text beside a colour bar and its colour."""
    if scale == "fixed":
        return "0..1 fixed scale", draw.MUTED
    return "per-frame scale: not comparable", draw.WARNING
