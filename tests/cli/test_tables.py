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
    for number in ("55555.5", "44444.4", "66666.6", "51111.1", "42222.2", "63333.3", "12.345"):
        assert number in numbers
    assert "ppo_abn_fast" in text


@pytest.mark.parametrize("width", [72, 80, 120])
def test_no_number_of_a_difference_is_cut_off(width: int) -> None:
    text = shown(width, INTACT, intervened("shuffled:policy", -44_444.4, -22_222.2))
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    for word in ("-33333.3", "-44444.4", "-22222.2", "-60%", "shuffled:policy", "ppo_abn_fast"):
        assert words.count(word) == 1
    for word in ("55555.5", "44444.4", "66666.6", "51111.1", "42222.2", "63333.3", "12.345"):
        assert words.count(word) == 2


def test_without_reference_scores_there_is_no_normalised_column() -> None:
    unknown = INTACT._replace(human_normalised=None)
    assert "HNS" not in shown(80, unknown)
    assert "HNS" not in shown(
        80, unknown, intervened("zero", -2.0, 1.0)._replace(human_normalised=None)
    )
    assert "HNS" in shown(80, INTACT)


def test_the_difference_is_shown_with_interventions() -> None:
    random = INTACT._replace(player="random", difference=Difference(1.0, 0.0, 2.0, None))
    assert "difference" not in shown(100, INTACT, random)
    text = shown(100, INTACT, intervened("zero", -2.0, 1.0), random)
    rows = [line.split() for line in text.splitlines() if "12.345" in line]
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
