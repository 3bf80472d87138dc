"""Frames in a row, the map of each below it."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from rl_abn.explain.examples import times_even
from rl_abn.render import draw
from rl_abn.render.overlay import colour_bar, overlay

_GAP, _LINE, _BAR, _BAR_WIDTH = 8, 16, 30, 420
_WIDTH = 200  # of a frame, in pixels, about


def film_strip(
    frames: np.ndarray,
    maps: np.ndarray | None,
    labels: Sequence[str],
    *,
    seen_rows: tuple[int, int] | None = None,
) -> bytes:
    """Draws frames, their maps over them, all on one scale, and lines below.

    Args:
        frames: uint8 [N, H, W, 3].
        maps: [N, h, w]; None draws frames alone.
        labels: Lines on each frame, with line breaks.
        seen_rows: Rows of a frame that the map covers, from and to; None is all.

    Returns:
        A PNG.
    """
    enlarge = max(1, round(_WIDTH / frames.shape[2]))
    height, width = enlarge * frames.shape[1], enlarge * frames.shape[2]
    n_pictures = 1 if maps is None else 2
    text_top = n_pictures * (height + _GAP) + _GAP
    bottom = text_top + _LINE * (1 + max(label.count("\n") for label in labels)) + _GAP
    across = len(frames) * (width + _GAP) + _GAP
    if maps is None:
        canvas = draw.blank(bottom, across)
    else:
        canvas = draw.blank(bottom + _BAR, max(across, _BAR_WIDTH))
    for column, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        left = _GAP + column * (width + _GAP)
        draw.paste(canvas, frame.repeat(enlarge, axis=0).repeat(enlarge, axis=1), left, _GAP)
        if maps is not None:
            values = times_even(maps[column])
            over = overlay(frame, values, scale="even", enlarge=enlarge, seen_rows=seen_rows)
            draw.paste(canvas, over, left, 2 * _GAP + height)
        for i, line in enumerate(label.split("\n")):
            text = draw.fit_text(line, width, 12)
            draw.draw_text(canvas, text, left, text_top + _LINE * i + 11, size=12, colour=draw.TEXT)
    if maps is not None:
        draw.paste(canvas, colour_bar(16, 260, "even"), _GAP, bottom + 4)
        draw.draw_text(
            canvas, "times an even map", _GAP + 272, bottom + 17, size=12, colour=draw.MUTED
        )
    data = BytesIO()
    Image.fromarray(canvas).save(data, format="PNG", optimize=True)
    return data.getvalue()
