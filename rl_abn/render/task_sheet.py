"""A sheet of examples with several binary tasks each: a map and a prediction per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from rl_abn.errors import RlAbnError
from rl_abn.render import draw
from rl_abn.render.overlay import enlarged, overlay
from rl_abn.render.scale import Scale
from rl_abn.render.sheet import (
    LINE,
    MAX_WIDTH,
    check_alike,
    draw_cells,
    enlargement,
    percent,
    right_colour,
)

_LABELS = ("All right", "Some wrong")
_SIZE = 13
_SMALLEST = 9
_ANSWER = 126  # holds "yes 100%" and "it is yes" beside each other
_GAP = 10
_LIST = 280


@dataclass(frozen=True)
class TaskAnswer:
    """The prediction of one binary task.

    Attributes:
        task: The task's name.
        says: The predicted label.
        probability: Probability of the predicted label, 0..1.
        target: The true label.
    """

    task: str
    says: bool
    probability: float
    target: bool

    @property
    def is_right(self) -> bool:
        """Whether the prediction is correct."""
        return self.says == self.target


@dataclass(frozen=True)
class TaskExample:
    """One example of a sheet.

    Attributes:
        frame: The network's input as an image, uint8 [H, W, 3].
        maps: A map per task, floats [T, h, w] as `overlay` takes them; [0, h, w] for a network
            without maps.
        answers: Predictions of the T tasks shown, T >= 1.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    maps: Float[np.ndarray, "m h w"]
    answers: Sequence[TaskAnswer]

    @property
    def is_right(self) -> bool:
        """Whether all predictions shown are correct."""
        return all(answer.is_right for answer in self.answers)


def draw_task_sheet(
    examples: Sequence[TaskExample], title: str, scale: Scale = "fixed"
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws examples: each image, and beside it the same image under each task's map.

    Below a map are the task's name, the prediction and the true label. Without maps they form a
    list beside the image. Examples with only correct predictions come first. `scale` is that of
    `overlay`.

    Raises:
        RlAbnError: If there is no example, or they differ in size, maps or tasks.
    """
    check_alike(examples)
    _check_tasks(examples)
    arrangement = (_Panels if len(examples[0].maps) else _List)(examples[0], scale)
    return draw_cells(
        examples, arrangement.paint, arrangement.cell, title, scale=scale, labels=_LABELS
    )


class _List:
    """An image, and beside it one line per task; `cell` is its width and height in pixels."""

    def __init__(self, example: TaskExample, scale: Scale) -> None:
        self._factor = enlargement(example.frame)
        height, width = (side * self._factor for side in example.frame.shape[:2])
        self._left = width + _GAP
        self.cell = (self._left + _LIST, max(height, LINE * len(example.answers)))

    def paint(self, canvas: draw.Canvas, example: TaskExample, x: int, y: int) -> None:
        draw.paste(canvas, enlarged(example.frame, self._factor), x, y)
        left, right = x + self._left, x + self._left + _LIST
        for i, answer in enumerate(example.answers):
            baseline = y + 13 + i * LINE
            _draw_name(canvas, answer.task, left, baseline, _LIST - _ANSWER - 8)
            _draw_answer(canvas, answer, right - _ANSWER, right, baseline)


class _Panels:
    """An image, and beside it rows with a panel per task; `cell` is width and height in pixels."""

    def __init__(self, example: TaskExample, scale: Scale) -> None:
        self._factor, self._scale = enlargement(example.frame), scale
        self._height, width = (side * self._factor for side in example.frame.shape[:2])
        self._room = max(width, _ANSWER)
        self._left = width + _GAP
        self._pitch = (self._room + _GAP, self._height + 2 * LINE + 12)
        most = max(1, (MAX_WIDTH - width) // self._pitch[0])
        rows = -(-len(example.answers) // most)
        self._columns = -(-len(example.answers) // rows)
        self.cell = (width + self._columns * self._pitch[0], rows * self._pitch[1] - 6)

    def paint(self, canvas: draw.Canvas, example: TaskExample, x: int, y: int) -> None:
        draw.paste(canvas, enlarged(example.frame, self._factor), x, y)
        for i, answer in enumerate(example.answers):
            row, column = divmod(i, self._columns)
            left, top = x + self._left + column * self._pitch[0], y + row * self._pitch[1]
            picture = overlay(
                example.frame, example.maps[i], scale=self._scale, enlarge=self._factor
            )
            draw.paste(canvas, picture, left, top)
            baseline = top + self._height + LINE
            _draw_name(canvas, answer.task, left, baseline, self._room)
            _draw_answer(canvas, answer, left, left + self._room, baseline + LINE)


def _draw_name(canvas: draw.Canvas, name: str, x: int, baseline: int, room: int) -> None:
    size = draw.fit_size(name, room, _SIZE, _SMALLEST)
    draw.draw_text(canvas, draw.fit_text(name, room, size), x, baseline, size=size)


def _draw_answer(
    canvas: draw.Canvas, answer: TaskAnswer, left: int, right: int, baseline: int
) -> None:
    """Paints the prediction at the left and the true label at the right."""
    said = f"{_word(answer.says)} {percent(answer.probability)}"
    colour = right_colour(answer.is_right)
    draw.draw_text(canvas, said, left, baseline, size=_SIZE, colour=colour, bold=True)
    colour = draw.MUTED if answer.is_right else draw.TEXT
    text = f"it is {_word(answer.target)}"
    draw.draw_text(canvas, text, right, baseline, size=_SIZE, colour=colour, anchor="right")


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


def _check_tasks(examples: Sequence[TaskExample]) -> None:
    tasks = [answer.task for answer in examples[0].answers]
    for example in examples:
        if not tasks or [answer.task for answer in example.answers] != tasks:
            got = [answer.task for answer in example.answers]
            raise RlAbnError(f"expected examples of the same tasks, got {got} beside {tasks}")
        if len(example.maps) not in (0, len(tasks)):
            raise RlAbnError(f"expected {len(tasks)} maps or none, got {len(example.maps)}")
