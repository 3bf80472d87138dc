"""What speaks for each action, and where: one small picture an action."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.overlay import overlay

_HEADING = 26
_LABEL = 20
_GAP = 14
_FLAT = 1e-6


class EvidencePanels:
    """A panel an action: the frame under the action's evidence, on one scale for all actions.

    Evidence has no unit, so each frame has a scale of its own; within a frame panels compare.

    Args:
        names: Names of the A actions.
        width: Room for a row of panels, in pixels.
        frame_size: The frame's height and width.
        seen_rows: Rows of the frame that the maps cover; None is all.

    Attributes:
        height: Of all rows together, in pixels.
    """

    def __init__(
        self,
        names: Sequence[str],
        width: int,
        frame_size: tuple[int, int],
        seen_rows: tuple[int, int] | None = None,
    ) -> None:
        self._names, self._seen_rows, self._width = tuple(names), seen_rows, width
        self._pitch = (_LABEL + frame_size[0] + _GAP, frame_size[1] + _GAP)
        self._cell = frame_size
        most = max(1, (width + _GAP) // self._pitch[1])
        n_rows = -(-len(self._names) // most)
        self._columns = -(-len(self._names) // n_rows)
        self.height = _HEADING + n_rows * self._pitch[0] - _GAP

    def check(self, evidence: np.ndarray | None) -> None:
        """Checks that evidence fits the panels.

        Raises:
            RlAbnError: If there is none, or its shape or a number is wrong.
        """
        n = len(self._names)
        if evidence is None or evidence.ndim != 3 or len(evidence) < n:
            got = "none" if evidence is None else str(list(evidence.shape))
            raise RlAbnError(f"expected evidence for {n} actions [{n}, h, w], got {got}")
        if not np.isfinite(evidence).all():
            raise RlAbnError("expected finite evidence, got NaN or infinity")

    def paint_static(self, canvas: draw.Canvas, x: int, y: int) -> None:
        """Paints the heading."""
        heading = "What speaks for each action, by the attention branch"
        draw.draw_text(canvas, heading, x, y + 13, size=13, colour=draw.MUTED)

    def paint(
        self,
        canvas: draw.Canvas,
        x: int,
        y: int,
        frame: UInt8[np.ndarray, "H W 3"],
        evidence: Float[np.ndarray, "K h w"],
        action: int,
    ) -> None:
        """Paints the panels of one step over the static part.

        Args:
            canvas: Where to.
            x: Left column.
            y: Top row.
            frame: uint8 [H, W, 3].
            evidence: Floats [K, h, w]; the first A are the actions'.
            action: Index of the action taken, which is highlighted.
        """
        shown = np.asarray(evidence[: len(self._names)], np.float32)
        low, high = float(shown.min()), float(shown.max())
        shares = np.zeros_like(shown) if high - low < _FLAT else (shown - low) / (high - low)
        text = f"{low:.2f} – {high:.2f}: a scale for each frame, one for all actions"
        draw.draw_text(
            canvas,
            text.replace("-", "−"),
            x + self._width,
            y + 13,
            size=12,
            colour=draw.WARNING,
            anchor="right",
        )
        for i, (name, share) in enumerate(zip(self._names, shares, strict=True)):
            row, column = divmod(i, self._columns)
            left = x + column * self._pitch[1]
            top = y + _HEADING + row * self._pitch[0]
            taken = i == action
            draw.draw_text(
                canvas,
                draw.fit_text(name, self._cell[1], 12, bold=taken),
                left,
                top + 13,
                size=12,
                colour=draw.TAKEN if taken else draw.MUTED,
                bold=taken,
            )
            picture = overlay(frame, share, seen_rows=self._seen_rows)
            draw.paste(canvas, picture, left, top + _LABEL)
