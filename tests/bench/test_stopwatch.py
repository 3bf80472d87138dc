"""What counts and when it ends."""

from __future__ import annotations

from rl_abn.bench.spec import Spec
from rl_abn.bench.stopwatch import Stopwatch


def spec(**fields):
    return Spec(kind="ale", env="pong", **fields)


def boundaries(stopwatch, unit):
    """Steps in all at which it began (by its own word) and ended."""
    steps = 0
    while not stopwatch.boundary(steps):
        steps += unit
    return steps


def test_the_warm_up_does_not_count():
    stopwatch = Stopwatch(spec(warm_up=25, steps=40))
    assert boundaries(stopwatch, 10) == 30 + 40
    assert stopwatch.steps == 40
    assert stopwatch.seconds > 0


def test_units_are_timed_whole():
    stopwatch = Stopwatch(spec(warm_up=0, steps=41))
    boundaries(stopwatch, 20)
    assert stopwatch.steps == 60


def test_units_that_belong_together_stay_together():
    stopwatch = Stopwatch(spec(warm_up=0, steps=41), stride=4)
    boundaries(stopwatch, 20)
    assert stopwatch.steps == 80


def test_at_least_one_unit_is_timed():
    stopwatch = Stopwatch(spec(warm_up=0))
    boundaries(stopwatch, 8)
    assert stopwatch.steps == 8


def test_the_phases_start_with_the_timing():
    begun = []
    stopwatch = Stopwatch(spec(warm_up=16, steps=8), on_begin=lambda: begun.append(True))
    assert [stopwatch.boundary(steps) for steps in (0, 8, 16)] == [False, False, False]
    assert begun == [True]
