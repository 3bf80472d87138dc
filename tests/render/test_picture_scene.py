from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import Control, PictureMoment, PictureScene
from rl_abn.render import draw as look
from rl_abn.render.control_curve import ControlCurve
from tests.covering import covering

WIDE, SQUARE = (66, 200), (32, 32)
CONTROLS = (Control("steering"), Control("throttle", 0.0))


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def moment(size: tuple[int, int] = WIDE, n_maps: int = 1, **changes: object) -> PictureMoment:
    plain = PictureMoment(frame=picture(size), maps=np.full((n_maps, 7, 9), 0.5))
    return replace(plain, **changes)  # type: ignore[arg-type]


def scene(size: tuple[int, int] = WIDE, n_maps: int = 1, **options: Any) -> PictureScene:
    options.setdefault("controls", CONTROLS)
    return PictureScene(
        map_names=["shared"] * n_maps, frame_size=size, title="A network", **options
    )


def count(shown: np.ndarray, colour: look.Colour) -> int:
    return int((shown == np.array(colour)).all(-1).sum())


def driven(steering: float, **changes: object) -> PictureMoment:
    return moment(controls=np.array([steering, 0.5]), **changes)


SIZES = [WIDE, SQUARE, (96, 96), (224, 224), (480, 640), (1080, 1920)]
NAMES = [(), ("a", "b"), tuple(map(str, range(100)))]


@pytest.mark.parametrize(
    ("size", "n_maps", "class_names"), covering(product(SIZES, [0, 1, 3], NAMES))
)
def test_size_is_even_and_everything_fits(size, n_maps, class_names) -> None:
    view = scene(size, n_maps, class_names=class_names)
    k = len(class_names)
    sure = {"probabilities": np.full(k, 1 / k), "target": k - 1} if k else {}
    shown = view.render(moment(size, n_maps, controls=np.array([0.1, 0.2]), **sure))
    assert view.size[0] % 2 == view.size[1] % 2 == 0
    assert shown.shape == (view.size[1], view.size[0], 3)


def test_the_picture_is_shown_untouched_and_wide_ones_lie_above_their_maps() -> None:
    shown = scene().render(driven(0.0))
    assert shown.shape == (592, 1032, 3)
    large = picture(WIDE).repeat(3, axis=0).repeat(3, axis=1)
    assert np.array_equal(shown[84:282, 24:624], large)
    assert not np.array_equal(shown[322:520, 24:624], large)
    assert scene(SQUARE).size[0] > 2 * 480


def test_a_gauge_is_as_long_as_the_control() -> None:
    def area(steering: float) -> int:
        view = scene(WIDE, 0, controls=CONTROLS[:1])
        with_number = view.render(moment(n_maps=0, controls=np.array([steering])))
        return count(with_number[90:130], look.TAKEN)  # the gauge and no curve

    nothing = area(0.0)
    half, full = area(0.5) - nothing, area(1.0) - nothing
    assert half == pytest.approx(full / 2, rel=0.02)
    assert area(2.0) == pytest.approx(area(1.0), abs=40)  # ends at its end; the number differs
    assert area(-0.5) - nothing == pytest.approx(half, rel=0.1)


def test_what_is_left_out_leaves_no_trace() -> None:
    view = scene(n_maps=0)
    alone = view.render(moment(n_maps=0, controls=np.array([0.3, 0.5])))
    everything = scene(n_maps=0).render(
        moment(
            n_maps=0,
            controls=np.array([0.3, 0.5]),
            branch_controls=np.array([0.2, 0.1]),
            driven=np.array([-0.1, 0.9]),
        )
    )
    for colour in (look.ATTENTION, look.DRIVER):
        assert count(alone, colour) == 0
        assert count(everything, colour) > 100


def test_a_new_stretch_starts_a_new_curve() -> None:
    view = scene()
    for step in range(20):
        view.render(driven(step / 20))
    assert np.array_equal(view.render(driven(0.1, starts=True)), scene().render(driven(0.1)))


def test_the_drivers_curve_ends_where_nobody_drove() -> None:
    def violet(
        canvas: np.ndarray,
    ) -> bool:  # lines have soft edges, and no pixel of all their colour
        _, green, blue = np.moveaxis(canvas.astype(int), -1, 0)
        return bool((blue - green > 60).sum() > 20)

    curve = ControlCurve("Steering", 360, 200, history=10, seconds=1.0)
    canvas = look.blank(200, 360)
    for value in (0.5, 0.5, None):
        curve.push(0.0, value)
    curve.paint(canvas, 0, 0)
    assert not violet(canvas)
    for _ in range(3):
        curve.push(0.0, 0.5)
    curve.paint(canvas, 0, 0)
    assert violet(canvas)


def test_the_most_probable_of_many_classes_have_bars() -> None:
    names = [f"class {i}" for i in range(100)]
    view = scene(SQUARE, 0, class_names=names, controls=())
    shares = np.zeros(100)
    shares[[7, 70]] = 0.25, 0.75
    right = view.render(moment(SQUARE, 0, probabilities=shares, target=70))
    wrong = view.render(moment(SQUARE, 0, probabilities=shares, target=7))
    other = np.zeros(100)
    other[[3, 30]] = 0.25, 0.75
    assert not np.array_equal(right, view.render(moment(SQUARE, 0, probabilities=other)))
    assert count(right, look.VALUE) > 20 > count(wrong, look.VALUE)
    assert count(wrong, look.PENALTY) > 20 > count(right, look.PENALTY)


def test_the_closed_loop_has_its_own_numbers_and_rows_it_does_not_see() -> None:
    status = [("SCORE", 110), ("SPEED", 100), ("INTERVENTIONS", 150)]
    view = scene((96, 96), status=status, seen_rows=(0, 84), fps=50.0)
    loop = moment((96, 96), controls=np.array([0.1, -0.2]), status=("812", "43.1", "2"))
    shown = view.render(loop)
    bright = replace(loop, frame=np.full((96, 96, 3), 200, np.uint8))
    panel = view.render(bright)[84 : 84 + 480, 24 + 496 : 24 + 496 + 480]
    assert panel[421:].max() <= 60
    assert panel[:419].min() > 100
    more = view.render(replace(loop, status=("812", "43.1", "3")))
    assert 0 < (shown[:60] != more[:60]).any(-1).sum() < 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": np.zeros((66, 201, 3), np.uint8)}, "66×200, got 66×201"),
        ({"maps": np.zeros((2, 7, 9))}, "1 maps"),
        ({"controls": np.zeros(3)}, "2 finite controls"),
        ({"driven": np.array([np.nan, 0])}, "2 finite driver's controls"),
        ({"probabilities": np.array([1.0])}, "0 finite class probabilities"),
        ({"target": 0}, r"0\.\.-1"),
        ({"status": ("1",)}, "0 numbers"),
    ],
)
def test_wrong_moments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RlAbnError, match=message):
        scene().render(moment(**changes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"controls": ()}, "got none"),
        ({"fps": 0.0}, "fps"),
        ({"seconds": 0.01}, "2 moments"),
        ({"scale": "log"}, "'log'"),
        ({"enlarge": 0}, "enlarge"),
    ],
)
def test_wrong_scenes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RlAbnError, match=message):
        scene(**options)
