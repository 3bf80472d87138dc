"""One image of a network's step: its input, its attention maps, and its classes or controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.bars import ActionBars
from rl_abn.render.control_curve import MIN_HEIGHT, ControlCurve
from rl_abn.render.gauges import Control, Gauges
from rl_abn.render.panels import BLOCK_GAP, COLUMN, HEADER, MARGIN, Header, Panels
from rl_abn.render.scale import Scale

TOP = 5
"""At most this many classes have a bar: the most probable ones."""
_MAX_PANEL = (480, 640)
_ANSWER = 26
_BAR_ROOM = 34 + 36 * TOP
_WIDE = 1.5


@dataclass(frozen=True)
class PictureMoment:
    """What is shown of one input image. Fields that are None or empty are left out.

    Attributes:
        frame: The network's input as an image, uint8 [H, W, 3].
        maps: The attention maps, floats [m, h, w] as `overlay` takes them, m >= 0.
        probabilities: Of the classes, floats [K] that sum to 1.
        branch_probabilities: The attention branch's, floats [K].
        target: The true class, 0..K-1.
        controls: The network's, floats [C].
        branch_controls: The attention branch's, floats [C].
        driven: The driver's, floats [C].
        status: The values in the header, as text, in the order of their labels.
        starts: Whether a new sequence starts here: the curve starts again.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    maps: Float[np.ndarray, "m h w"]
    probabilities: Float[np.ndarray, " K"] | None = None
    branch_probabilities: Float[np.ndarray, " K"] | None = None
    target: int | None = None
    controls: Float[np.ndarray, " C"] | None = None
    branch_controls: Float[np.ndarray, " C"] | None = None
    driven: Float[np.ndarray, " C"] | None = None
    status: tuple[str, ...] = ()
    starts: bool = False


class PictureScene:
    """Renders the moments of one recording as images of one size.

    Layout: the frame and a panel per map, side by side, or one below the other for wide frames;
    beside them a column with bars of the most probable classes, or gauges of the controls and a
    curve of the first one, or all of these.

    Args:
        map_names: Names of the m maps, "shared" for one; empty for a network without attention.
        frame_size: Height and width of the frames.
        title: Text at the top.
        class_names: Names of the K classes; empty for none.
        controls: The controls, steering first; empty for none.
        status: Labels of the values in the header, and the width of each with its value in pixels.
        frame_label: Label of the frame.
        fps: Moments per second, for the curve.
        seconds: Duration of the curve.
        scale: How map values are shown, see `Scale`.
        enlarge: Integer enlargement factor of the frame; None is the largest that fits.
        seen_rows: Rows of the frame that the maps cover; None is all.

    Raises:
        RlAbnError: If there are neither classes nor controls, or a number is out of range.

    Example:
        >>> scene = PictureScene(
        ...     map_names=["shared"],
        ...     frame_size=(66, 200),
        ...     title="Driving",
        ...     controls=[Control("steering"), Control("throttle", 0.0)],
        ... )
        >>> scene.size
        (1032, 592)
    """

    def __init__(
        self,
        *,
        map_names: Sequence[str],
        frame_size: tuple[int, int],
        title: str,
        class_names: Sequence[str] = (),
        controls: Sequence[Control] = (),
        status: Sequence[tuple[str, int]] = (),
        frame_label: str = "Picture",
        fps: float = 15.0,
        seconds: float = 10.0,
        scale: Scale = "fixed",
        enlarge: int | None = None,
        seen_rows: tuple[int, int] | None = None,
    ) -> None:
        if not class_names and not controls:
            raise RlAbnError("expected the names of classes or controls to show, got none")
        if not (math.isfinite(fps * seconds) and fps > 0.0 and fps * seconds >= 2.0):
            raise RlAbnError(
                f"expected fps and seconds of 2 moments or more, got {fps:g} and {seconds:g}"
            )
        self._panels = Panels(
            frame_label,
            map_names,
            frame_size,
            enlarge=_room_for(frame_size) if enlarge is None else enlarge,
            scale=scale,
            seen_rows=seen_rows,
            stacked=frame_size[1] > _WIDE * frame_size[0],
        )
        self._class_names, self._n_controls = tuple(class_names), len(controls)
        self._n_status = len(status)
        bars = (_BAR_ROOM + _ANSWER) if class_names else 0
        self._gauges = Gauges(controls, COLUMN) if controls else None
        least = bars
        if self._gauges is not None:
            least += (BLOCK_GAP if bars else 0) + self._gauges.height + BLOCK_GAP + MIN_HEIGHT
        body = max(self._panels.height, least)
        self._column_x = MARGIN + self._panels.width + MARGIN
        width, height = self._column_x + COLUMN + MARGIN, HEADER + body + MARGIN
        # H.264 with 4:2:0 colour holds only even sizes.
        self._width, self._height = width + width % 2, height + height % 2

        self._header = Header(title, status, self._width)
        self._gauges_y = HEADER + bars + (BLOCK_GAP if bars else 0)
        self._curve: ControlCurve | None = None
        if self._gauges is not None:
            self._curve_y = self._gauges_y + self._gauges.height + BLOCK_GAP
            name = controls[0].name.capitalize()
            room = min(HEADER + body - self._curve_y, 320)
            self._curve = ControlCurve(name, COLUMN, room, round(fps * seconds), seconds)
        self._base = self._static()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every image in pixels; both are even."""
        return self._width, self._height

    def render(self, moment: PictureMoment) -> UInt8[np.ndarray, "height width 3"]:
        """Returns the image of one moment, a new array; call it in the order of the recording.

        Raises:
            RlAbnError: If a shape does not fit the scene, or a number is not finite.
        """
        self._check(moment)
        canvas = self._base.copy()
        self._header.paint(canvas, moment.status)
        self._panels.paint(canvas, MARGIN, HEADER, moment.frame, moment.maps)
        if moment.probabilities is not None:
            self._paint_bars(canvas, moment, moment.probabilities)
        if self._gauges is not None and self._curve is not None and moment.controls is not None:
            if moment.starts:
                self._curve.clear()
            driven = None if moment.driven is None else float(moment.driven[0])
            self._curve.push(float(moment.controls[0]), driven)
            self._curve.paint(canvas, self._column_x, self._curve_y)
            self._gauges.paint(
                canvas,
                self._column_x,
                self._gauges_y,
                moment.controls,
                moment.branch_controls,
                moment.driven,
            )
        return canvas

    def _paint_bars(
        self, canvas: draw.Canvas, moment: PictureMoment, probabilities: np.ndarray
    ) -> None:
        answer = int(probabilities.argmax())
        n_classes = len(probabilities)
        # A few classes keep fixed rows, which are easier to follow than sorted ones.
        shown = list(range(n_classes))
        if n_classes > TOP:
            shown = np.argsort(-probabilities, kind="stable")[:TOP].tolist()
        bars = ActionBars(
            [self._class_names[i] for i in shown],
            COLUMN,
            _BAR_ROOM,
            heading="Class probabilities" if n_classes <= TOP else f"Likeliest of {n_classes:,}",
            source="perception",
        )
        branch = moment.branch_probabilities
        bars.paint_static(canvas, self._column_x, HEADER)
        bars.paint(
            canvas,
            self._column_x,
            HEADER,
            probabilities[shown],
            None if branch is None else branch[shown],
            shown.index(answer),
        )
        if moment.target is not None:
            right = moment.target == answer
            text = "right" if right else f"wrong: it is {self._class_names[moment.target]}"
            draw.draw_text(
                canvas,
                draw.fit_text(text, COLUMN, 14, bold=True),
                self._column_x,
                HEADER + bars.height + 20,
                colour=draw.VALUE if right else draw.PENALTY,
                bold=True,
            )

    def _static(self) -> draw.Canvas:
        """Returns a canvas with the parts that do not change."""
        canvas = draw.blank(self._height, self._width)
        self._header.paint_static(canvas)
        self._panels.paint_static(canvas, MARGIN, HEADER)
        if self._gauges is not None and self._curve is not None:
            self._gauges.paint_static(canvas, self._column_x, self._gauges_y)
            self._curve.paint_static(canvas, self._column_x, self._curve_y)
        return canvas

    def _check(self, moment: PictureMoment) -> None:
        self._panels.check(moment.frame, moment.maps)
        n_classes = len(self._class_names)
        for name, values, count in (
            ("class probabilities", moment.probabilities, n_classes),
            ("branch probabilities", moment.branch_probabilities, n_classes),
            ("controls", moment.controls, self._n_controls),
            ("branch controls", moment.branch_controls, self._n_controls),
            ("driver's controls", moment.driven, self._n_controls),
        ):
            if values is not None and (
                values.shape != (count,) or not np.isfinite(values).all() or not count
            ):
                raise RlAbnError(f"expected {count} finite {name}, got {values.tolist()}")
        if moment.target is not None and not 0 <= moment.target < n_classes:
            raise RlAbnError(f"expected a class in 0..{n_classes - 1}, got {moment.target}")
        if len(moment.status) != self._n_status:
            raise RlAbnError(
                f"expected {self._n_status} numbers for the top, got {len(moment.status)}"
            )


def _room_for(frame_size: tuple[int, int]) -> int:
    height, width = frame_size
    return max(1, min(_MAX_PANEL[0] // height, _MAX_PANEL[1] // width))
