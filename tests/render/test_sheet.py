"""Sheets of pictures under their maps, right ones and wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import draw as look
from rl_abn.render.overlay import Scale, overlay
from rl_abn.render.sheet import Example, draw_sheet
from rl_abn.render.task_sheet import TaskAnswer, TaskExample, draw_task_sheet

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def count(shown: np.ndarray, colour: look.Colour) -> int:
    return int((shown == np.array(colour)).all(-1).sum())


def example(answer: str = "cat", n_maps: int = 1) -> Example:
    return Example(PICTURE, np.full((n_maps, 4, 4), 0.5), answer, 0.8, "cat")


def test_a_sheet_has_room_for_all_and_wrong_ones_below() -> None:
    right = draw_sheet([example()] * 12, "A sheet")
    both = draw_sheet([example("dog"), *[example()] * 12], "A sheet")
    assert both.shape[0] > right.shape[0]
    assert count(right, look.PENALTY) == 0 < count(both[right.shape[0] - 100 :], look.PENALTY)
    large = PICTURE.repeat(4, axis=0).repeat(4, axis=1)
    assert np.array_equal(right[86 : 86 + 128, 24 : 24 + 128], large)
    assert draw_sheet([example(n_maps=0)], "One").shape[1] >= 420


@pytest.mark.parametrize(
    ("n_right", "n_wrong", "per_row"),
    [(8, 8, [4, 4, 4, 4]), (7, 0, [4, 3]), (5, 3, [5, 3]), (9, 4, [5, 4, 4]), (1, 0, [1])],
)
def test_rows_are_filled_to_the_last_one(n_right: int, n_wrong: int, per_row: list[int]) -> None:
    shown = draw_sheet([example()] * n_right + [example("dog")] * n_wrong, "A sheet")
    large = PICTURE.repeat(4, axis=0).repeat(4, axis=1)
    rows, columns = np.nonzero((shown[:-127, :-127] == large[0, 0]).all(-1))
    places = [
        (int(y), int(x))
        for y, x in zip(rows, columns, strict=True)
        if np.array_equal(shown[y : y + 128, x : x + 128], large)
    ]
    tops = sorted({y for y, _ in places})
    assert [sum(y == top for y, _ in places) for top in tops] == per_row


def test_examples_of_two_sizes_are_refused() -> None:
    with pytest.raises(RlAbnError, match="got none"):
        draw_sheet([], "Nothing")
    with pytest.raises(RlAbnError, match="one size"):
        draw_sheet([example(), example(n_maps=2)], "Two")


def test_a_title_has_room_beside_the_legend() -> None:
    title = "a network on a set of pictures with a long name, epoch 300"
    wanted = look.text_width(title, 19, bold=True)
    assert draw_sheet([example()], title).shape[1] > wanted + 200
    assert draw_sheet([example()], title * 20).shape[1] == 1400 + 2 * 24


@pytest.mark.parametrize("scale", ["fixed", "frame"])
def test_maps_are_shown_on_the_scale_that_is_asked_for(scale: Scale) -> None:
    faint = np.zeros((1, 2, 2), np.float32)
    faint[0, 0, 0] = 0.1
    shown = draw_sheet([Example(PICTURE, faint, "cat", 0.8, "cat")], "A sheet", scale)
    expected = overlay(PICTURE, faint[0], scale=scale, enlarge=4)
    assert np.array_equal(shown[86 : 86 + 128, 156 : 156 + 128], expected)
    assert (count(shown[:60], look.WARNING) > 0) is (scale == "frame")


def face(right: list[bool], n_maps: int | None = None) -> TaskExample:
    """Says yes to every task; the map of task i is i / 10 everywhere."""
    n = len(right) if n_maps is None else n_maps
    maps = np.stack([np.full((3, 3), i / 10) for i in range(n)]) if n else np.zeros((0, 1, 1))
    answers = [TaskAnswer(f"Task_{i}", True, 0.9, target) for i, target in enumerate(right)]
    return TaskExample(PICTURE, maps, answers)


def corners(shown: np.ndarray, n: int) -> list[tuple[int, int]]:
    """Finds where the overlays of `face` lie: row and column of each."""
    found = []
    for i in range(n):
        panel = overlay(PICTURE, np.full((3, 3), i / 10), enlarge=4)
        rows, columns = np.nonzero((shown[:-127, :-127] == panel[0, 0]).all(-1))
        found += [
            (int(y), int(x))
            for y, x in zip(rows, columns, strict=True)
            if np.array_equal(shown[y : y + 128, x : x + 128], panel)
        ]
    return found


def test_each_task_has_its_map_beside_the_picture() -> None:
    shown = draw_task_sheet([face([True] * 3)], "Tasks")
    large = PICTURE.repeat(4, axis=0).repeat(4, axis=1)
    assert np.array_equal(shown[86 : 86 + 128, 24 : 24 + 128], large)
    assert corners(shown, 3) == [(86, 24 + 138 * (1 + i)) for i in range(3)]
    assert count(shown, look.VALUE) > 0 == count(shown, look.PENALTY)


def test_many_tasks_take_several_rows_of_equal_length() -> None:
    shown = draw_task_sheet([face([True] * 10)], "Tasks")
    places = corners(shown, 10)
    assert shown.shape[1] <= 1400 + 2 * 24
    assert [x for _, x in places[:5]] == [x for _, x in places[5:]]
    assert places[0][0] + 128 + 2 * 18 < places[5][0]
    assert places[5][0] + 128 + 2 * 18 < shown.shape[0]


def test_one_wrong_answer_makes_a_picture_a_wrong_one() -> None:
    right, wrong = face([True] * 8), face([True] * 7 + [False])
    assert (right.is_right, wrong.is_right) == (True, False)
    shown = draw_task_sheet([wrong, right], "Tasks")
    # One picture a row: all right ones above.
    assert count(shown[: shown.shape[0] // 2], look.PENALTY) == 0 < count(shown, look.PENALTY)


def test_without_maps_answers_are_a_list_beside_the_picture() -> None:
    shown = draw_task_sheet([face([True, False] * 4, n_maps=0)] * 3, "Tasks")
    assert shown.shape[1] <= 1400 + 2 * 24
    assert count(shown, look.VALUE) > 0 < count(shown, look.PENALTY)
    assert count(shown[:60], look.MUTED) == 0  # no legend without maps
    assert shown.shape[0] < 86 + 8 * 18 + 60


def test_long_names_of_tasks_stay_in_their_panel() -> None:
    long = "Has_A_Name_That_Nobody_Would_Give_To_A_Task_" * 5
    answers = [TaskAnswer(long, True, 1.0, True)]
    for maps in (np.zeros((1, 3, 3)), np.zeros((0, 1, 1))):
        shown = draw_task_sheet([TaskExample(PICTURE, maps, answers)], "Tasks")
        end = 24 + 128 + 10 + (128 if len(maps) else 280)
        assert (shown[86:, end:] == look.BACKGROUND).all()


def test_examples_of_other_tasks_are_refused() -> None:
    with pytest.raises(RlAbnError, match="got none"):
        draw_task_sheet([], "Nothing")
    with pytest.raises(RlAbnError, match="the same tasks"):
        draw_task_sheet([face([True], n_maps=0), face([True] * 2, n_maps=0)], "Two")
    with pytest.raises(RlAbnError, match="2 maps or none, got 1"):
        draw_task_sheet([face([True] * 2, n_maps=1)], "Two")
    with pytest.raises(RlAbnError, match="same tasks"):
        draw_task_sheet([face([])], "None")
