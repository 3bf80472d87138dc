"""One image of an agent's step: game, attention maps, action probabilities and value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.bars import ActionBars
from rl_abn.render.curve import MIN_HEIGHT, ValueCurve
from rl_abn.render.evidence import EvidencePanels
from rl_abn.render.panels import BLOCK_GAP, COLUMN, HEADER, MARGIN, Header, Panels, clock
from rl_abn.render.scale import Scale

_STATUS = (("SCORE", 128), ("LIVES", 76), ("STEP", 108), ("TIME", 82))


@dataclass(frozen=True)
class Moment:
    """What is shown of one step.

    Attributes:
        frame: The colour frame, uint8 [H, W, 3]; 210×160 in most games.
        maps: The attention maps, floats [m, h, w] as `overlay` takes them; m is 0, 1 or 2.
        action_probabilities: The policy, floats [A] that sum to 1.
        branch_probabilities: The attention branch's policy, floats [A], or None.
        action: Index of the action taken, 0..A-1.
        value: The value estimate.
        reward: The reward of this step.
        score: The score so far.
        lives: Lives left.
        step: Index of the step in the episode; a smaller one than before starts a new value curve,
            the same one is another frame of that step.
        evidence: What speaks for each action at each location, floats [K, h, w], the first A of
            the actions; None where it is not shown.
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
    evidence: Float[np.ndarray, "K h w"] | None = None


class GameScene:
    """Renders the moments of one recording as images of one size.

    From left to right: the game, a panel per map, and a column with the action probabilities and
    the value curve. A scene keeps the values and rewards of the last steps.

    Args:
        action_names: Names of the A actions.
        map_names: Names of the m maps, "shared", "policy" or "value"; empty for an agent without
            attention.
        title: Text at the top.
        fps: Steps per second of play, for the clock.
        scale: How map values are shown, see `Scale`.
        enlarge: Integer enlargement factor of the frame.
        history: Number of steps in the value curve, at least 2.
        frame_size: Height and width of the frame.
        seen_rows: Rows of the frame that the maps cover; None is all.
        evidence: Whether the evidence for each action is shown below.

    Raises:
        RlAbnError: If there is no action, or a number is out of range.

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
        evidence: bool = False,
    ) -> None:
        panels = Panels(
            "Game", map_names, frame_size, enlarge=enlarge, scale=scale, seen_rows=seen_rows
        )
        if not action_names:
            raise RlAbnError("expected the names of one action or more, got none")
        if not (math.isfinite(fps) and fps > 0.0):
            raise RlAbnError(f"expected fps above 0, got {fps}")
        if history < 2:
            raise RlAbnError(f"expected a history of 2 steps or more, got {history}")
        self._panels, self._fps = panels, fps
        self._action_names = tuple(action_names)
        self._last_step: int | None = None

        least = ActionBars.least_height(len(action_names))
        body = max(panels.height, least + BLOCK_GAP + MIN_HEIGHT)
        self._column_x = MARGIN + panels.width + MARGIN
        width = self._column_x + COLUMN + MARGIN
        self._evidence: EvidencePanels | None = None
        self._evidence_y = HEADER + body + BLOCK_GAP
        if evidence:
            room_below = width - 2 * MARGIN
            self._evidence = EvidencePanels(action_names, room_below, frame_size, seen_rows)
        below = 0 if self._evidence is None else BLOCK_GAP + self._evidence.height
        height = HEADER + body + below + MARGIN
        # H.264 with 4:2:0 colour holds only even sizes.
        self._width, self._height = width + width % 2, height + height % 2

        room = body - BLOCK_GAP - max(MIN_HEIGHT, round(0.36 * body))
        self._header = Header(title, _STATUS, self._width)
        self._bars = ActionBars(self._action_names, COLUMN, max(room, least))
        self._curve = ValueCurve(COLUMN, body - self._bars.height - BLOCK_GAP, history)
        self._curve_y = HEADER + self._bars.height + BLOCK_GAP
        self._base = self._static()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every image in pixels; both are even."""
        return self._width, self._height

    def render(self, moment: Moment) -> UInt8[np.ndarray, "height width 3"]:
        """Returns the image of one step, a new array; call it in the order of the steps.

        Raises:
            RlAbnError: If a shape does not fit the scene, or a number is not finite.
        """
        self._check(moment)
        if self._last_step is not None and moment.step < self._last_step:
            self._curve.clear()
        if self._last_step != moment.step:
            self._curve.push(float(moment.value), float(moment.reward))
        self._last_step = moment.step

        canvas = self._base.copy()
        self._header.paint(
            canvas,
            (
                f"{moment.score:,.0f}",
                f"{moment.lives}",
                f"{moment.step:,}",
                clock(moment.step / self._fps),
            ),
        )
        self._panels.paint(canvas, MARGIN, HEADER, moment.frame, moment.maps)
        self._bars.paint(
            canvas,
            self._column_x,
            HEADER,
            moment.action_probabilities,
            moment.branch_probabilities,
            moment.action,
        )
        self._curve.paint(canvas, self._column_x, self._curve_y)
        if self._evidence is not None and moment.evidence is not None:
            self._evidence.paint(
                canvas, MARGIN, self._evidence_y, moment.frame, moment.evidence, moment.action
            )
        return canvas

    def _static(self) -> draw.Canvas:
        """Returns a canvas with the parts that do not change."""
        canvas = draw.blank(self._height, self._width)
        self._header.paint_static(canvas)
        self._panels.paint_static(canvas, MARGIN, HEADER)
        self._bars.paint_static(canvas, self._column_x, HEADER)
        self._curve.paint_static(canvas, self._column_x, self._curve_y)
        if self._evidence is not None:
            self._evidence.paint_static(canvas, MARGIN, self._evidence_y)
        return canvas

    def _check(self, moment: Moment) -> None:
        self._panels.check(moment.frame, moment.maps)
        if self._evidence is not None:
            self._evidence.check(moment.evidence)
        n_actions = len(self._action_names)
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
