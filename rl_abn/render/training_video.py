"""How the maps of fixed probe observations formed over training: one image, or a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.grid import Grid, largest_grid, paint_cells
from rl_abn.render.overlay import check_frame, colour_bar
from rl_abn.render.panels import map_label
from rl_abn.render.scale import Scale, check_scale, scale_label
from rl_abn.render.video import VideoWriter

_MARGIN = 24
_HEADER = 60
_FOOTER = 56
_FINAL_HOLD_S = 2.0
# In a larger video the frames would gain no detail and the text would be too small.
_MAX_SIZE = (2720, 1200)
_MIN_WIDTH = 640
_GRID_LEGEND = 20


def overlay_grid(
    frames: UInt8[np.ndarray, "P H W 3"],
    maps: Float[np.ndarray, "P m h w"],
    scale: Scale = "fixed",
    seen_rows: tuple[int, int] | None = None,
    names: Sequence[str] = (),
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns one image of all maps: a row per map, a column per probe observation.

    A colour bar stands below, except on the usual scale, "fixed".

    Args:
        frames: The probe observations' frames, uint8 [P, H, W, 3].
        maps: Their attention maps, floats [P, m, h, w] as `overlay` takes them, m >= 1.
        scale: How map values are shown, see `Scale`.
        seen_rows: Rows of the frames that the maps cover; None is all.
        names: Labels of the rows; empty for no labels.

    Returns:
        uint8 [height, width, 3]; frames are not enlarged.

    Raises:
        RlAbnError: If a shape is wrong, there is no map, or the number of names differs.
    """
    _check_frames(frames)
    _check_maps(maps, len(frames), len(names) or None)
    n_cells, n_blocks = maps.shape[:2]
    cell = (frames.shape[1], frames.shape[2])
    label, gap = (16, 6) if names else (0, 2)
    grid = Grid(n_cells, n_blocks, n_cells, cell, gap=2, label=label, block_gap=gap)
    width, height = grid.size
    canvas = draw.blank(height + (0 if scale == "fixed" else _GRID_LEGEND), width)
    if scale != "fixed":
        _draw_grid_legend(canvas, height, scale)
    for block, name in enumerate(names):
        text = draw.fit_text(name, width - 4, 12)
        draw.draw_text(canvas, text, 2, grid.block_top(block) + 12, size=12)
    paint_cells(canvas, grid, (0, 0), frames, maps, scale, 1, seen_rows)
    return canvas


def _draw_grid_legend(canvas: draw.Canvas, top: int, scale: Scale) -> None:
    text, colour = scale_label(scale)
    left, width = 2, canvas.shape[1]
    bar = min(130, width - draw.text_width(text, 12) - 12)
    if bar >= 64:
        draw.paste(canvas, colour_bar(12, bar, scale), left, top + 4)
        left += bar + 8
    room = width - left - 2
    size = draw.fit_size(text, room, 12)
    draw.draw_text(
        canvas, draw.fit_text(text, room, size), left, top + 14, size=size, colour=colour
    )


def write_training_video(
    path: Path,
    *,
    frames: UInt8[np.ndarray, "P H W 3"],
    steps: Sequence[int],
    maps: Iterable[Float[np.ndarray, "P m h w"]],
    map_names: Sequence[str],
    title: str,
    scale: Scale = "fixed",
    fps: float = 8.0,
    hold: int = 2,
    seen_rows: tuple[int, int] | None = None,
) -> int:
    """Writes a video of how the maps of fixed probe observations formed over training.

    Each logging point is shown as logged, without blending; the last one stays two seconds longer.

    Args:
        path: The video, which ends in .mp4.
        frames: The probe observations' frames, uint8 [P, H, W, 3]; P of 6 to 8 looks best.
        steps: Training step of each logging point, in rising order.
        maps: Maps of each logging point, floats [P, m, h, w]; read one at a time.
        map_names: Names of the m maps, "shared", "policy" or "value".
        title: Text at the top.
        scale: How map values are shown, see `Scale`.
        fps: Frames per second.
        hold: Number of frames per logging point.
        seen_rows: Rows of the frames that the maps cover; None is all.

    Returns:
        The number of frames written.

    Raises:
        RlAbnError: If there is no logging point or no map, `steps` and `maps` differ in length, a
            shape is wrong, or the file cannot be written.
    """
    check_scale(scale)
    _check_frames(frames)
    if not steps:
        raise RlAbnError("cannot make a video: there are no logging points")
    if any(b < a for a, b in pairwise(steps)):
        raise RlAbnError(f"expected training steps in rising order, got {list(steps)}")
    if not map_names:
        raise RlAbnError("cannot make a video: the agent has no attention maps")
    if hold < 1:
        raise RlAbnError(f"expected hold to be 1 frame or more, got {hold}")
    renderer = _Renderer(frames, tuple(steps), tuple(map_names), title, scale, seen_rows)
    with VideoWriter(path, renderer.size, fps) as video:
        n_points = 0
        for index, point in enumerate(maps):
            if index == len(steps):
                raise RlAbnError(f"expected {len(steps)} logging points' maps, got more")
            image = renderer.render(index, point)
            last = index == len(steps) - 1
            for _ in range(hold + (round(_FINAL_HOLD_S * fps) if last else 0)):
                video.write(image)
            n_points += 1
        if n_points < len(steps):
            raise RlAbnError(f"expected {len(steps)} logging points' maps, got {n_points}")
    return video.n_frames


class _Renderer:
    """Renders logging points as images of one size."""

    def __init__(
        self,
        frames: UInt8[np.ndarray, "P H W 3"],
        steps: tuple[int, ...],
        map_names: tuple[str, ...],
        title: str,
        scale: Scale,
        seen_rows: tuple[int, int] | None,
    ) -> None:
        self._frames, self._steps, self._scale = frames, steps, scale
        self._seen_rows = seen_rows
        frame_size = (frames.shape[1], frames.shape[2])
        room = (_MAX_SIZE[0] - 2 * _MARGIN, _MAX_SIZE[1] - _HEADER - _FOOTER)
        self._grid, self._enlarge = largest_grid(len(frames), len(map_names), frame_size, room)
        grid_width, grid_height = self._grid.size
        width = max(grid_width, _MIN_WIDTH) + 2 * _MARGIN
        height = _HEADER + grid_height + _FOOTER
        # H.264 with 4:2:0 colour holds only even sizes.
        self.size = (width + width % 2, height + height % 2)
        self._corner = ((self.size[0] - grid_width) // 2, _HEADER)
        self._track_y = _HEADER + grid_height + 26
        self._base = self._static(title, map_names)

    def render(
        self, index: int, maps: Float[np.ndarray, "P m h w"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        _check_maps(maps, len(self._frames), self._grid.n_blocks)
        canvas = self._base.copy()
        paint_cells(
            canvas,
            self._grid,
            self._corner,
            self._frames,
            maps,
            self._scale,
            self._enlarge,
            self._seen_rows,
        )
        right = self.size[0] - _MARGIN
        caption = f"{self._steps[index]:,}"
        draw.draw_text(canvas, caption, right, 37, size=17, bold=True, anchor="right")
        reached = self._track_x(self._steps[index])
        left = self._track_x(0)
        draw.draw_box(canvas, left, self._track_y, reached - left + 1, 4, draw.ATTENTION)
        draw.draw_box(canvas, reached - 1, self._track_y - 4, 3, 12, draw.TEXT)
        return canvas

    def _track_x(self, step: int) -> int:
        """Returns the column of a training step on the progress line."""
        left, right = self._track
        return left + round((right - left) * step / max(self._steps[-1], 1))

    @property
    def _track(self) -> tuple[int, int]:
        return _MARGIN, self.size[0] - _MARGIN - self._legend_width - 32

    @property
    def _legend_width(self) -> int:
        return 130 + 10 + draw.text_width(scale_label(self._scale)[0], 12)

    def _static(self, title: str, map_names: tuple[str, ...]) -> draw.Canvas:
        width, height = self.size
        canvas = draw.blank(height, width)
        widest = draw.text_width(f"{self._steps[-1]:,}", 17, bold=True)
        label_right = width - _MARGIN - widest - 10
        draw.draw_text(
            canvas, "TRAINING STEP", label_right, 36, size=11, colour=draw.MUTED, anchor="right"
        )
        room = label_right - draw.text_width("TRAINING STEP", 11) - 2 * _MARGIN
        draw.draw_text(
            canvas, draw.fit_text(title, room, 19, bold=True), _MARGIN, 37, size=19, bold=True
        )
        x, y = self._corner
        for block, name in enumerate(map_names):
            baseline = y + self._grid.block_top(block) + 13
            draw.draw_text(canvas, map_label(name), x, baseline, size=13, colour=draw.MUTED)
        left, right = self._track
        draw.draw_box(canvas, left, self._track_y, right - left + 1, 4, draw.SURFACE)
        for step in self._steps:
            draw.draw_box(canvas, self._track_x(step), self._track_y + 7, 1, 4, draw.MUTED)
        legend = width - _MARGIN - self._legend_width
        draw.paste(canvas, colour_bar(12, 130, self._scale), legend, self._track_y - 4)
        text, colour = scale_label(self._scale)
        at = (width - _MARGIN, self._track_y + 6)
        draw.draw_text(canvas, text, *at, size=12, colour=colour, anchor="right")
        return canvas


def _check_frames(frames: np.ndarray) -> None:
    if frames.ndim != 4 or len(frames) == 0:
        raise RlAbnError(f"expected probe frames of uint8 [P, H, W, 3], got {list(frames.shape)}")
    check_frame(frames[0])


def _check_maps(maps: np.ndarray, n_probes: int, n_maps: int | None) -> None:
    wanted = "m" if n_maps is None else n_maps
    if (
        maps.ndim != 4
        or maps.shape[0] != n_probes
        or maps.shape[1] == 0
        or (n_maps is not None and maps.shape[1] != n_maps)
    ):
        raise RlAbnError(f"expected maps [{n_probes}, {wanted}, h, w], got {list(maps.shape)}")
