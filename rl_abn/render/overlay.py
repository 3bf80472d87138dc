"""An attention map as warm light on a dimmed frame.

The frame and the map are added in CIELAB, the colour space in which equal distances look about
equally large. The frame keeps the lower part of the lightness axis; the map adds lightness and a
little yellow in proportion to its value. So a value looks alike on black, grey, white and grass:
what is added does not depend on the frame below. Lightness carries the value, as it does for people
with any colour blindness, and where the map is 0, the frame is only dimmer and paler.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.map_bars import map_bars
from rl_abn.render.scale import Scale, check_scale, end_labels, scaled

UNSEEN_BRIGHTNESS = 0.2
"""Share of its brightness that the frame keeps outside `seen_rows`."""
FRAME_LIGHTNESS = 0.45
"""Share of its lightness L* that the frame keeps."""
FRAME_CHROMA = 0.4
"""Share of its colour, a* and b*, that the frame keeps."""
MAP_LIGHTNESS = 50.0
"""L* that a map value of 1 adds: black under it is lighter than white where the map is 0."""
MAP_YELLOW = 12.0
"""b* that a map value of 1 adds."""
_ROWS_AT_ONCE = 32


def check_frame(frame: np.ndarray) -> None:
    """Checks that an array is a frame, uint8 [H, W, 3].

    Raises:
        RlAbnError: If not.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise RlAbnError(
            f"expected a frame of uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}"
        )


def check_enlarge(factor: int) -> None:
    """Checks that a factor is a whole number from 1.

    Raises:
        RlAbnError: If not.
    """
    if not isinstance(factor, int) or factor < 1:
        raise RlAbnError(f"expected enlarge to be a whole number from 1, got {factor!r}")


def enlarged(
    frame: Shaped[np.ndarray, "H W *_channels"], factor: int
) -> Shaped[np.ndarray, "H2 W2 *_channels"]:
    """Returns the frame, or a channel of it, with each pixel as `factor` by `factor` pixels.

    Raises:
        RlAbnError: If the factor is no integer >= 1.
    """
    check_enlarge(factor)
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
    """Returns the dimmed frame with the attention map as warm light on it.

    The map is stretched over the part of the frame that the observation covers: all of it, or
    `seen_rows`. Other rows are dark. A map of one column, as weights of channels are, has no place
    in the frame and is drawn as bars instead.

    Args:
        frame: uint8 [H, W, 3].
        attention_map: Floats [h, w] of any size, or [n, 1]: in 0..1, or multiples of an even map's
            value; values beyond the scale's ends are shown like those.
        scale: How values are shown, see `Scale`.
        enlarge: Integer enlargement factor of the frame.
        seen_rows: First row covered by the map and the row after the last; None is all.

    Returns:
        uint8 [H * enlarge, W * enlarge, 3].

    Raises:
        RlAbnError: If a shape, a dtype, the scale, `enlarge` or `seen_rows` is invalid, or the map
            has NaN.
    """
    check_frame(frame)
    check_enlarge(enlarge)
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
    return _lit(frame, shown, enlarge)


def _lit(
    frame: UInt8[np.ndarray, "H W 3"], shown: Float32[np.ndarray, "h w"], enlarge: int
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Returns the enlarged frame, dimmed, with the light of a map of 0..1 added in CIELAB."""
    rgb = frame.astype(np.float32) / 255.0
    lightness, red, yellow = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab))
    lightness, red, yellow = FRAME_LIGHTNESS * lightness, FRAME_CHROMA * red, FRAME_CHROMA * yellow
    height, width = len(frame) * enlarge, frame.shape[1] * enlarge
    # Linear, since cubic interpolation adds halos and peaks that the map does not have.
    weight = cv2.resize(shown, (width, height), interpolation=cv2.INTER_LINEAR)
    picture = np.empty((height, width, 3), np.uint8)
    # A few rows at a time stay in the processor's cache.
    for top in range(0, len(frame), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        large = slice(top * enlarge, (top + _ROWS_AT_ONCE) * enlarge)
        added = weight[large]
        lab = cv2.merge(
            [
                cv2.scaleAdd(added, MAP_LIGHTNESS, enlarged(lightness[rows], enlarge)),
                enlarged(red[rows], enlarge),
                cv2.scaleAdd(added, MAP_YELLOW, enlarged(yellow[rows], enlarge)),
            ]
        )
        picture[large] = cv2.convertScaleAbs(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), alpha=255.0)
    return picture


def colour_bar(height: int, width: int, scale: Scale = "fixed") -> draw.Canvas:
    """Returns a legend from the lowest map value to the highest, with labelled ends.

    It is uint8 [height, width, 3]. The upper half shows the map on black, the lower half on white:
    all other frames lie in between.

    Raises:
        RlAbnError: If the bar is smaller than 8×64 pixels or the scale is unknown.
    """
    check_scale(scale)
    if height < 8 or width < 64:
        raise RlAbnError(f"expected a colour bar of 8×64 pixels or more, got {height}×{width}")
    low, high = end_labels(scale)
    size = min(12, height)
    canvas = draw.blank(height, width)
    left, right = draw.text_width(low, size) + 6, draw.text_width(high, size) + 6
    strip = np.zeros((height, width - left - right, 3), dtype=np.uint8)
    strip[height // 2 :] = 255
    ramp = np.linspace(0.0, 1.0, strip.shape[1], dtype=np.float32)[None]
    draw.paste(canvas, overlay(strip, ramp), left, 0)
    baseline = round(height / 2 + 0.36 * size)
    draw.draw_text(canvas, low, 0, baseline, size=size, colour=draw.MUTED)
    draw.draw_text(canvas, high, width, baseline, size=size, colour=draw.MUTED, anchor="right")
    return canvas
