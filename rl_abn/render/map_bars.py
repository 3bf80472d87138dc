"""Maps without a place in the frame, such as weights of channels, as bars."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from rl_abn.render import draw

_LEAST_PITCH = 3
"""Pixels from one bar to the next; narrower bars go into a further row."""
_GAP = 4


def map_bars(values: Float32[np.ndarray, " n"], height: int, width: int) -> draw.Canvas:
    """Draws one bar a value, in order from left to right and then row by row.

    Args:
        values: In 0..1; a bar of 1 fills its row.
        height: The image's, in pixels.
        width: The image's, in pixels.

    Returns:
        uint8 [height, width, 3].
    """
    canvas = draw.blank(height, width)
    n_rows = -(-len(values) * _LEAST_PITCH // width)
    per_row = -(-len(values) // n_rows)
    room = max((height - (n_rows + 1) * _GAP) // n_rows, 1)
    for i, value in enumerate(values):
        row, column = divmod(i, per_row)
        left, right = column * width // per_row, (column + 1) * width // per_row
        bar = max(right - left - 1, 1)
        top = _GAP + row * (room + _GAP)
        filled = round(float(value) * room)
        draw.draw_box(canvas, left, top, bar, room, draw.SURFACE)
        draw.draw_box(canvas, left, top + room - filled, bar, filled, draw.ATTENTION)
    return canvas
