"""Example pictures: moments beside the maps of each, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from rl_abn.render import draw
from rl_abn.render.overlay import colour_bar, overlay

_GAP, _TITLE = 8, 22


def times_even(attention_map: np.ndarray) -> np.ndarray:
    """Returns a map [h, w] as multiples of an even one; what is below 0 counts as 0.

    A map without any mass is shown as even.
    """
    positive = np.clip(attention_map.astype(np.float64), 0.0, None)
    mean = positive.mean()
    return np.ones_like(positive) if mean <= 0 else positive / mean


def example_sheet(
    screens: Sequence[np.ndarray],
    maps: Mapping[str, np.ndarray],
    labels: Sequence[str],
    *,
    seen_rows: tuple[int, int] | None = None,
    titles: Sequence[str] = ("the screen",),
    width: int = 150,
) -> bytes:
    """Draws moments in rows and maps in columns, all on one scale: multiples of an even map.

    Args:
        screens: Of each moment, uint8 [H, W, 3].
        maps: By name, [N, h, w].
        labels: What stands beside each moment.
        seen_rows: Rows of the screen that the maps cover; None is all.
        titles: What stands above the moments.
        width: Of a picture, in pixels, about.

    Returns:
        A PNG.
    """
    height, wide = screens[0].shape[:2]
    enlarge = max(1, round(width / wide))
    cell_h, cell_w = height * enlarge, wide * enlarge
    n_columns = 1 + len(maps)
    canvas = draw.blank(
        _TITLE + len(screens) * (cell_h + _TITLE) + 30, n_columns * (cell_w + _GAP) + _GAP
    )
    for column, title in enumerate([*titles, *maps]):
        left = _GAP + column * (cell_w + _GAP)
        text = draw.fit_text(title.replace("_", " "), cell_w, 13)
        draw.draw_text(canvas, text, left, 16, size=13, colour=draw.TEXT)
    for row, (screen, label) in enumerate(zip(screens, labels, strict=True)):
        top = _TITLE + row * (cell_h + _TITLE)
        plain = np.repeat(np.repeat(screen, enlarge, axis=0), enlarge, axis=1)
        draw.paste(canvas, plain, _GAP, top)
        for column, values in enumerate(maps.values(), 1):
            shown = overlay(
                screen, times_even(values[row]), scale="even", enlarge=enlarge, seen_rows=seen_rows
            )
            draw.paste(canvas, shown, _GAP + column * (cell_w + _GAP), top)
        draw.draw_text(
            canvas, draw.fit_text(label, canvas.shape[1] - 2 * _GAP, 12), _GAP, top + cell_h + 15,
            size=12, colour=draw.MUTED,
        )  # fmt: skip
    bar = colour_bar(16, 260, "even")
    draw.paste(canvas, bar, _GAP, canvas.shape[0] - 22)
    draw.draw_text(
        canvas, "times an even map", _GAP + 272, canvas.shape[0] - 9, size=12, colour=draw.MUTED
    )
    data = BytesIO()
    Image.fromarray(canvas).save(data, format="PNG", optimize=True)
    return data.getvalue()
