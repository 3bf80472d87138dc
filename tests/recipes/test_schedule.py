from __future__ import annotations

from itertools import pairwise

import pytest

from rl_abn.recipes import LinearSchedule, schedule

REMAINING = (1.0, 0.9, 0.75, 0.5, 0.25, 1e-9, 0.0)


@pytest.mark.parametrize(("start", "end"), [(2.5e-4, 0.0), (0.1, 0.05), (0.0, 0.3), (0.2, 0.2)])
def test_a_linear_schedule_is_a_straight_line(start: float, end: float) -> None:
    value = schedule(LinearSchedule(start=start, end=end))
    for remaining in REMAINING:
        expected = start * remaining + end * (1 - remaining)
        assert value(remaining) == pytest.approx(expected, abs=1e-15)
    assert value(1.0) == pytest.approx(start, abs=1e-15)
    assert value(0.0) == end


@pytest.mark.parametrize("past", [-1e-12, -0.0005, -0.1, -5.0])
def test_a_linear_schedule_stays_at_its_end(past: float) -> None:
    """SB3's progress turns negative when the last rollout passes the last step."""
    assert schedule(LinearSchedule(start=2.5e-4))(past) == 0.0
    assert schedule(LinearSchedule(start=0.1, end=0.02))(past) == 0.02
    assert schedule(LinearSchedule(start=0.02, end=0.1))(past) == 0.1


def test_a_linear_schedule_falls_evenly() -> None:
    value = schedule(LinearSchedule(start=1.0, end=0.5))
    values = [value(1 - i / 10) for i in range(11)]
    falls = [before - after for before, after in pairwise(values)]
    assert falls == pytest.approx([0.05] * 10)


@pytest.mark.parametrize("number", [7e-4, 1, 0.1])
def test_a_number_is_a_constant(number: float) -> None:
    value = schedule(number)
    assert [value(remaining) for remaining in (*REMAINING, -0.1)] == [number] * 8
    assert isinstance(value(0.5), float)


def test_a_schedule_ends_at_zero_unless_it_says_otherwise() -> None:
    assert LinearSchedule(start=0.1).end == 0.0
