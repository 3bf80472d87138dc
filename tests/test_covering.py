"""Which cases of a product run without --all."""

from __future__ import annotations

from itertools import product

from tests.covering import covering


def quick(cases: list[object]) -> list[object]:
    return [param.values for param in covering(cases) if not param.marks]


def test_every_value_occurs_and_the_longest_axis_says_how_often() -> None:
    cases = list(product("abcde", [1, 2, 3], [True, False]))
    chosen = quick(cases)
    assert len(chosen) == 5
    for axis, values in enumerate(zip(*cases, strict=True)):
        assert {case[axis] for case in chosen} == set(values)


def test_values_take_turns_where_none_is_missing() -> None:
    chosen = quick(list(product("abcdef", [1, 2])))
    assert sorted(number for _, number in chosen) == [1, 1, 1, 2, 2, 2]


def test_a_product_with_holes_is_covered_too() -> None:
    assert quick([("a", 1), ("b", 1), ("b", 2)]) == [("a", 1), ("b", 2)]


def test_some_of_the_chosen_run_with_more_only() -> None:
    cases = list(product("abc", [1, 2]))
    marks = [
        [mark.name for mark in param.marks]
        for param in covering(cases, lambda case: case[0] == "a")
    ]
    chosen = [["more"] if case[0] != "a" else [] for case in quick(cases)]
    assert [each for each in marks if each != ["full"]] == chosen


def test_all_cases_stay_in_their_order() -> None:
    cases = list(product("ab", [1, 2, 3]))
    assert [param.values for param in covering(cases)] == cases
    assert [param.values for param in covering("ab")] == [("a",), ("b",)]
