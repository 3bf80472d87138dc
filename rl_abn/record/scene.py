"""One picture of an agent at work: the game, where it looks, what it would do, what it expects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.record import draw
from rl_abn.record.bars import ActionBars
from rl_abn.record.curve import MIN_HEIGHT, ValueCurve
from rl_abn.record.overlay import (
    Scale,
    check_frame,
    check_scale,
    colour_bar,
    enlarged,
    overlay,
)

_MARGIN = 24
_GAP = 16
_HEADER = 60
_LABEL = 24
_LEGEND = 32
_COLUMN = 360
_BLOCK_GAP = 22
_STATUS = (("SCORE", 128), ("LIVES", 76), ("STEP", 108), ("TIME", 82))
_MAP_LABELS = {"shared": "Attention map", "policy": "Policy map", "value": "Value map"}


def map_label(name: str) -> str:
    """Returns what a map is called in a picture, given its name in the program."""
    return _MAP_LABELS.get(name, f"{name} map")


@dataclass(frozen=True)
class Moment:
    """What there is to show of one step.

    Attributes:
        frame: The game's screen, uint8 [H, W, 3]; 210×160 in most games.
        maps: The attention maps, floats [m, h, w] in 0..1, where m is 0, 1 or 2.
        action_probabilities: The policy, floats [A] that sum to 1.
        branch_probabilities: The attention branch's own policy, floats [A], or None.
        action: The index of the action that was taken, 0..A-1.
        value: The value estimate.
        reward: The reward of this step.
        score: The game's score so far.
        lives: How many lives are left.
        step: How many steps the episode is old; going back starts a new value curve.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    maps: Float[np.ndarray, "m h w"]
    action_probabilities: Float[np.ndarray, " A"]
    branch_probabilities: Float[np.ndarray, " A"] | None
    action: int
    value: float
    reward: float
    score: float
    lives: int
    step: int


class GameScene:
    """Renders moments of one recording as frames of one size.

    From left to right: the game, a panel a map, and a column with the action probabilities and
    the value curve. A scene remembers the values and rewards of the last steps.

    Args:
        action_names: The names of the A actions.
        map_names: The names of the m maps, "shared", "policy" or "value"; empty for an agent
            without attention.
        title: The line at the top.
        fps: The steps a second of play, for the clock.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        enlarge: How many pixels wide and high each pixel of the game becomes.
        history: How many steps the value curve goes back, from 2.
        frame_size: The height and width of the game's screen.
        seen_rows: Rows of the screen that the maps cover; None is all.

    Raises:
        RlAbnError: There is no action, or a number is out of its range.

    Example:
        >>> scene = GameScene(
        ...     action_names=["NOOP", "FIRE"], map_names=["shared"], title="Pong", fps=15.0
        ... )
        >>> scene.size
        (1408, 770)
    """

    def __init__(
        self,
        *,
        action_names: Sequence[str],
        map_names: Sequence[str],
        title: str,
        fps: float,
        scale: Scale = "fixed",
        enlarge: int = 3,
        history: int = 300,
        frame_size: tuple[int, int] = (210, 160),
        seen_rows: tuple[int, int] | None = None,
    ) -> None:
        check_scale(scale)
        if not action_names:
            raise RlAbnError("expected the names of one action or more, got none")
        if not (math.isfinite(fps) and fps > 0.0):
            raise RlAbnError(f"expected fps above 0, got {fps}")
        if history < 2:
            raise RlAbnError(f"expected a history of 2 steps or more, got {history}")
        if not isinstance(enlarge, int) or enlarge < 1:
            raise RlAbnError(f"expected enlarge to be a whole number from 1, got {enlarge!r}")
        self._action_names, self._map_names = tuple(action_names), tuple(map_names)
        self._fps, self._scale, self._enlarge = fps, scale, enlarge
        self._frame_size = tuple(frame_size)
        self._seen_rows = seen_rows
        self._last_step: int | None = None

        panel_height, self._panel_width = frame_size[0] * enlarge, frame_size[1] * enlarge
        least_column = ActionBars.least_height(len(action_names)) + _BLOCK_GAP + MIN_HEIGHT
        body = max(_LABEL + panel_height + _LEGEND, least_column)
        n_panels = 1 + len(self._map_names)
        self._column_x = _MARGIN + n_panels * (self._panel_width + _GAP) + _MARGIN - _GAP
        width = self._column_x + _COLUMN + _MARGIN
        height = _HEADER + body + _MARGIN
        # H.264 with 4:2:0 colour holds only even sizes.
        self._width, self._height = width + width % 2, height + height % 2

        room = body - _BLOCK_GAP - max(MIN_HEIGHT, round(0.36 * body))
        least = ActionBars.least_height(len(action_names))
        self._bars = ActionBars(self._action_names, _COLUMN, max(room, least))
        curve_height = body - self._bars.height - _BLOCK_GAP
        self._curve = ValueCurve(_COLUMN, curve_height, history)
        self._curve_y = _HEADER + self._bars.height + _BLOCK_GAP
        self._base = self._static(title, panel_height)

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of every frame in pixels; both are even."""
        return self._width, self._height

    def render(self, moment: Moment) -> UInt8[np.ndarray, "height width 3"]:
        """Returns the picture of one step.

        Args:
            moment: What there is to show; steps are expected in order.

        Returns:
            uint8 [height, width, 3], a new array each time.

        Raises:
            RlAbnError: A shape does not fit the scene, or a number is not finite.
        """
        self._check(moment)
        if self._last_step is not None and moment.step < self._last_step:
            self._curve.clear()
        self._last_step = moment.step
        self._curve.push(float(moment.value), float(moment.reward))

        canvas = self._base.copy()
        self._draw_status(canvas, moment)
        top = _HEADER + _LABEL
        draw.paste(canvas, enlarged(moment.frame, self._enlarge), _MARGIN, top)
        for i, attention_map in enumerate(moment.maps):
            x = self._panel_x(i + 1)
            picture = overlay(
                moment.frame,
                attention_map,
                scale=self._scale,
                enlarge=self._enlarge,
                seen_rows=self._seen_rows,
            )
            draw.paste(canvas, picture, x, top)
            draw.draw_text(
                canvas,
                f"{float(attention_map.min()):.2f} – {float(attention_map.max()):.2f}",
                x + self._panel_width,
                _HEADER + 13,
                size=12,
                colour=draw.MUTED,
                anchor="right",
            )
        self._bars.paint(
            canvas,
            self._column_x,
            _HEADER,
            moment.action_probabilities,
            moment.branch_probabilities,
            moment.action,
        )
        self._curve.paint(canvas, self._column_x, self._curve_y)
        return canvas

    def _panel_x(self, i: int) -> int:
        return _MARGIN + i * (self._panel_width + _GAP)

    def _static(self, title: str, panel_height: int) -> draw.Canvas:
        """Returns the canvas with all that no step changes."""
        canvas = draw.blank(self._height, self._width)
        room = self._width - 2 * _MARGIN - sum(width for _, width in _STATUS)
        draw.draw_text(
            canvas, draw.fit_text(title, room, 19, bold=True), _MARGIN, 37, size=19, bold=True
        )
        for (label, _), x in zip(_STATUS, self._status_x(), strict=True):
            draw.draw_text(canvas, label, x, 36, size=11, colour=draw.MUTED)
        labels = ["Game", *map(map_label, self._map_names)]
        for i, label in enumerate(labels):
            x, baseline = self._panel_x(i), _HEADER + 13
            draw.draw_text(canvas, label, x, baseline, size=13, colour=draw.MUTED)
            if i > 0:
                self._draw_legend(canvas, x, _HEADER + _LABEL + panel_height + 12)
        self._bars.paint_static(canvas, self._column_x, _HEADER)
        self._curve.paint_static(canvas, self._column_x, self._curve_y)
        return canvas

    def _draw_legend(self, canvas: draw.Canvas, x: int, y: int) -> None:
        fixed = self._scale == "fixed"
        text = "0..1 fixed scale" if fixed else "per-frame scale: not comparable"
        bar_width = min(200, max(64, self._panel_width * 2 // 5))
        draw.paste(canvas, colour_bar(12, bar_width, self._scale), x, y)
        room = self._panel_width - bar_width - 12
        draw.draw_text(
            canvas,
            text,
            x + bar_width + 12,
            y + 10,
            size=draw.fit_size(text, room, 12),
            colour=draw.MUTED if fixed else draw.WARNING,
        )

    def _status_x(self) -> list[int]:
        right = self._width - _MARGIN - sum(width for _, width in _STATUS)
        return [right + sum(width for _, width in _STATUS[:i]) for i in range(len(_STATUS))]

    def _draw_status(self, canvas: draw.Canvas, moment: Moment) -> None:
        seconds = int(moment.step / self._fps)
        shown = (
            f"{moment.score:,.0f}",
            f"{moment.lives}",
            f"{moment.step:,}",
            f"{seconds // 60}:{seconds % 60:02d}",
        )
        for (label, _), x, text in zip(_STATUS, self._status_x(), shown, strict=True):
            at = x + draw.text_width(label, 11) + 8
            draw.draw_text(canvas, text, at, 37, size=15, bold=True)

    def _check(self, moment: Moment) -> None:
        check_frame(moment.frame)
        if moment.frame.shape[:2] != self._frame_size:
            raise RlAbnError(
                f"expected a frame of {self._frame_size[0]}×{self._frame_size[1]},"
                f" got {moment.frame.shape[0]}×{moment.frame.shape[1]}"
            )
        n_maps, n_actions = len(self._map_names), len(self._action_names)
        if moment.maps.ndim != 3 or moment.maps.shape[0] != n_maps:
            raise RlAbnError(f"expected {n_maps} maps [m, h, w], got {list(moment.maps.shape)}")
        policies = [("action", moment.action_probabilities)]
        if moment.branch_probabilities is not None:
            policies.append(("branch", moment.branch_probabilities))
        for name, policy in policies:
            if policy.shape != (n_actions,) or not np.isfinite(policy).all():
                raise RlAbnError(
                    f"expected {n_actions} finite {name} probabilities, got {policy.tolist()}"
                )
        if not 0 <= moment.action < n_actions:
            raise RlAbnError(f"expected an action in 0..{n_actions - 1}, got {moment.action}")
        if not (math.isfinite(moment.value) and math.isfinite(moment.reward)):
            raise RlAbnError(
                f"expected a finite value and reward, got {moment.value} and {moment.reward}"
            )
