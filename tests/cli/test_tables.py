"""Tables keep every number, however narrow the terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rl_abn.cli.evaluate import what_differs
from rl_abn.cli.tables import evaluation_table
from rl_abn.estimates import Estimate
from rl_abn.rl.evaluation.episodes import GameResult
from rl_abn.rl.evaluation.results import Evaluation, RunEvaluation
from rl_abn.rl.evaluation.scores import Difference

INTACT = Evaluation(
    player="ppo_abn_fast",
    protocol="legacy",
    greedy=False,
    n_actions=6,
    games=[GameResult(score, 500, False) for score in (12_345.0, 98_765.0)],
    max_frames=108_000,
    mean=Estimate(55_555.5, 44_444.4, 66_666.6),
    iqm=Estimate(51_111.1, 42_222.2, 63_333.3),
    human_normalised=12.345,
    seed=0,
)


def intervened(name: str, low: float | None, high: float | None) -> Evaluation:
    difference = Difference(-33_333.3, low, high, -0.6)
    intervention, _, map_name = name.partition(":")
    return INTACT._replace(
        player=name, intervention=intervention, intervened_maps=(map_name,), difference=difference
    )


def shown(width: int, *evaluations: Evaluation) -> str:
    printed = io.StringIO()
    result = RunEvaluation("Space Invaders", "run", 1, list(evaluations))
    Console(file=printed, width=width).print(evaluation_table(result))
    text = printed.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize("width", [72, 80, 120])
def test_no_number_of_an_evaluation_is_cut_off(width: int) -> None:
    text = shown(width, INTACT)
    numbers = set(re.findall(r"[\d.]+", text))
    for number in ("55556", "44444", "66667", "51111", "42222", "63333", "12.345"):
        assert number in numbers
    assert "ppo_abn_fast" in text


@pytest.mark.parametrize("width", [72, 80, 120])
def test_no_number_of_a_difference_is_cut_off(width: int) -> None:
    text = shown(width, INTACT, intervened("shuffled:policy", -44_444.4, -22_222.2))
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    for word in ("-33333", "-44444", "-22222", "-60%", "shuffled:policy", "12.345"):
        assert words.count(word) == 1
    for word in ("55556", "44444", "66667", "51111", "42222", "63333"):
        assert words.count(word) == 2


def test_rows_of_a_game_with_thousands_of_points_fit_into_80_columns() -> None:
    found = INTACT._replace(
        mean=Estimate(1633.25, 1471.4, 1799.2), iqm=Estimate(1637.9, 1447.1, 1813.6)
    )
    blind = found._replace(
        player="blind: frozen", difference=Difference(-1203.3, -1371.2, -1031.6, -0.74)
    )
    uniform = blind._replace(player="uniform", intervention="uniform")
    lines = shown(80, found, uniform, blind).splitlines()
    (row,) = (line for line in lines if "blind: frozen" in line)
    assert "1633 [1471, 1799]" in row
    assert "-1203 [-1371, -1032]" in row
    assert "-74%" in row


def test_scores_below_100_have_tenths() -> None:
    found = INTACT._replace(mean=Estimate(11.27, 9.8, 13.04), iqm=Estimate(10.2, 9.1, 11.8))
    text = shown(100, found, found._replace(player="random", mean=Estimate(1.04, 0.6, 1.4)))
    assert "11.3 [9.8, 13.0]" in text
    assert "1.0 [0.6, 1.4]" in text


def test_without_reference_scores_there_is_no_normalised_column() -> None:
    unknown = INTACT._replace(human_normalised=None)
    assert "HNS" not in shown(80, unknown)
    assert "HNS" in shown(80, INTACT)
    other = intervened("zero", -2.0, 1.0)
    assert "human-normalised" not in shown(80, unknown, other)
    assert "human-normalised score of ppo_abn_fast: 12.345" in shown(80, INTACT, other)


def test_the_difference_is_shown_with_interventions() -> None:
    random = INTACT._replace(player="random", difference=Difference(1.0, 0.0, 2.0, None))
    assert "difference" not in shown(100, INTACT, random)
    text = shown(100, INTACT, intervened("zero", -2.0, 1.0), random)
    rows = [line.split() for line in text.splitlines() if "55556" in line]
    assert [row[0] for row in rows] == ["ppo_abn_fast", "zero", "random"]
    assert "2 games each" in " ".join(text.split())


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        (
            {"zero": (-2.0, -1.0), "uniform": (-1.0, 1.0), "frozen": (1.0, 2.0)},
            "excludes 0 for zero, frozen; it includes 0 for uniform: these games show no "
            "difference from the intact agent",
        ),
        ({"zero:value": (-2.0, -1.0)}, "excludes 0 for zero:value"),
        (
            {"zero": (0.0, 0.0)},
            "includes 0 for zero: these games show no difference from the intact agent",
        ),
    ],
)
def test_the_sentence_says_what_the_intervals_say(
    intervals: dict[str, tuple[float, float]], said: str
) -> None:
    others = [intervened(name, *interval) for name, interval in intervals.items()]
    result = RunEvaluation("Space Invaders", "run", 1, [INTACT, *others])
    assert what_differs(result) == f"the difference's interval {said}"


def test_one_game_gives_no_interval_of_a_difference() -> None:
    result = RunEvaluation("Space Invaders", "run", 1, [INTACT, intervened("zero", None, None)])
    assert what_differs(result) == (
        "one game has no interval: with more --episodes the differences can be judged"
    )
