from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import GameScene, Moment
from rl_abn.render import draw as look
from rl_abn.render.curve import SteadyRange, nice_step
from tests.covering import covering


def moment(frame: np.ndarray, n_maps: int = 1, n_actions: int = 6, **changes: object) -> Moment:
    plain = Moment(
        frame=frame,
        maps=np.full((n_maps, 10, 10), 0.5, dtype=np.float32),
        action_probabilities=np.full(n_actions, 1.0 / n_actions),
        branch_probabilities=np.full(n_actions, 1.0 / n_actions),
        action=0,
        value=0.5,
        reward=0.0,
        score=0.0,
        lives=3,
        step=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def scene(n_maps: int = 1, n_actions: int = 6, **options: object) -> GameScene:
    return GameScene(
        action_names=["UPRIGHTFIRE"] * n_actions,
        map_names=[["shared"], ["policy", "value"]][n_maps == 2][:n_maps],
        title="Space Invaders",
        fps=15.0,
        **options,  # type: ignore[arg-type]
    )


def count(picture: np.ndarray, colour: look.Colour) -> int:
    return int((picture == np.array(colour)).all(-1).sum())


@pytest.mark.parametrize(
    ("n_actions", "n_maps", "enlarge"), covering(product([1, 3, 6, 9, 18], [0, 1, 2], [1, 3]))
)
def test_size_is_even_and_constant(
    frame: np.ndarray, n_maps: int, n_actions: int, enlarge: int
) -> None:
    view = scene(n_maps, n_actions, enlarge=enlarge)
    width, height = view.size
    assert width % 2 == height % 2 == 0
    for step in range(3):
        shown = view.render(
            moment(frame, n_maps, n_actions, step=step, value=1e4 * step, score=1e6 * step)
        )
        assert shown.shape == (height, width, 3)
        assert shown.dtype == np.uint8


def test_size_depends_only_on_the_panels() -> None:
    assert {scene(1, n).size for n in (3, 6, 9, 18)} == {(1408, 770)}
    assert [scene(n).size for n in (0, 1, 2)] == [(912, 770), (1408, 770), (1904, 770)]


def test_game_is_shown_untouched(frame: np.ndarray) -> None:
    shown = scene().render(moment(frame))
    assert np.array_equal(shown[84:714, 24:504], frame.repeat(3, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize("height", [210, 250])
def test_other_screen_heights(height: int) -> None:
    screen = np.zeros((height, 160, 3), dtype=np.uint8)
    shown = scene(frame_size=(height, 160)).render(moment(screen))
    assert (shown[84 : 84 + 3 * height, 24:504] == 0).all()


def test_bars_are_as_long_as_the_probabilities(frame: np.ndarray) -> None:
    def areas(*probabilities: float) -> tuple[int, int]:
        shown = scene(0, 3).render(
            moment(frame, 0, 3, action_probabilities=np.array(probabilities), action=2)
        )
        return count(shown, look.POLICY), count(shown, look.TAKEN)

    none, most = areas(0.0, 0.0, 1.0)
    half, some = areas(0.0, 0.5, 0.5)
    # The swatch in the legend has the policy's colour too.
    swatch = 9 * 9
    assert none == swatch
    assert (half - swatch) / most == pytest.approx(0.5, abs=0.06)
    assert some / most == pytest.approx(0.5, abs=0.06)


def test_branch_bars_only_with_a_branch(frame: np.ndarray) -> None:
    view = scene(0)
    assert count(view.render(moment(frame, 0)), look.ATTENTION) > 500
    assert count(view.render(moment(frame, 0, branch_probabilities=None)), look.ATTENTION) == 0


def test_rewards_are_marked_and_leave_with_the_history(frame: np.ndarray) -> None:
    view = scene(0, history=5)
    marked = [
        count(view.render(moment(frame, 0, step=step, reward=float(step == 1))), look.REWARD)
        for step in range(8)
    ]
    assert [n > 0 for n in marked] == [False, True, True, True, True, True, False, False]
    lost = view.render(moment(frame, 0, step=8, reward=-1.0))
    assert count(lost, look.PENALTY) > 0


def test_new_episode_starts_a_new_curve(frame: np.ndarray) -> None:
    view = scene()
    for step in range(20):
        view.render(moment(frame, step=step, value=float(step), reward=1.0))
    assert np.array_equal(view.render(moment(frame)), scene().render(moment(frame)))


def test_rendering_does_not_change_what_it_gave_before(frame: np.ndarray) -> None:
    view = scene()
    first = view.render(moment(frame))
    kept = first.copy()
    view.render(moment(frame, step=1, value=3.0, action=4))
    assert np.array_equal(first, kept)


def test_per_frame_scale_is_flagged(frame: np.ndarray) -> None:
    fixed = scene().render(moment(frame))
    stretched = scene(scale="frame").render(moment(frame))
    assert count(fixed, look.WARNING) == 0
    assert count(stretched, look.WARNING) > 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": np.zeros((84, 84, 3), np.uint8)}, "210×160, got 84×84"),
        ({"frame": np.zeros((210, 160, 3))}, "float64"),
        ({"maps": np.zeros((2, 10, 10))}, "1 maps"),
        ({"maps": np.full((1, 10, 10), np.nan)}, "NaN"),
        ({"action_probabilities": np.zeros(5)}, "6 finite action"),
        ({"branch_probabilities": np.full(6, np.nan)}, "6 finite branch"),
        ({"action": 6}, r"0\.\.5, got 6"),
        ({"value": float("nan")}, "finite value"),
    ],
)
def test_wrong_moments_are_refused(
    frame: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RlAbnError, match=message):
        scene().render(replace(moment(frame), **changes))


@pytest.mark.parametrize(
    ("n_actions", "options", "message"),
    [
        (0, {}, "none"),
        (3, {"history": 1}, "history"),
        (3, {"enlarge": 0}, "enlarge"),
        (3, {"scale": "log"}, "'log'"),
    ],
)
def test_wrong_scenes_are_refused(n_actions: int, options: dict[str, object], message: str) -> None:
    with pytest.raises(RlAbnError, match=message):
        scene(1, n_actions, **options)


@pytest.mark.parametrize(
    ("span", "step"), [(1.0, 0.2), (10.0, 2.0), (2.5, 0.5), (0.06, 0.02), (700.0, 200.0)]
)
def test_nice_step(span: float, step: float) -> None:
    assert nice_step(span, 5) == pytest.approx(step)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (-3.0, 7.0), (1e5, 1e5), (1e-4, 2e-4)])
def test_axis_covers_the_data(low: float, high: float) -> None:
    axis = SteadyRange()
    axis.update(low, high)
    ticks = axis.ticks()
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 3 <= len(ticks) <= 8
    assert len({axis.label(tick) for tick in ticks}) == len(ticks)


def test_axis_seldom_changes() -> None:
    axis, ranges = SteadyRange(), []
    values = 10.0 + np.cumsum(np.random.default_rng(0).normal(0.0, 0.2, 3000))
    for end in range(300, 3000):
        window = values[end - 300 : end]
        axis.update(float(window.min()), float(window.max()))
        assert axis.low <= window.min()
        assert window.max() <= axis.high
        ranges.append((axis.low, axis.high))
    assert sum(a != b for a, b in pairwise(ranges)) <= 30


def test_recording_needs_no_learning_library() -> None:
    code = (
        "import sys, rl_abn.render;"
        "print([m for m in ('torch', 'gymnasium', 'stable_baselines3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("step", "written"), [(0.25, "−0.25"), (0.1, "−0.1"), (0.5, "−0.5"), (2.0, "−2"), (20.0, "−20")]
)
def test_an_axis_is_numbered_with_all_the_decimals_of_its_step(step, written):
    axis = SteadyRange()
    axis.step = step
    assert axis.label(-step) == written
