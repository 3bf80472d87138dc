"""Tables keep every number, however narrow the terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rl_abn.cli.tables import evaluation_table
from rl_abn.rl.evaluate import Evaluation, GameResult, RunEvaluation
from rl_abn.rl.scores import Estimate


@pytest.mark.parametrize("width", [72, 80, 120])
def test_no_number_of_an_evaluation_is_cut_off(width: int) -> None:
    games = [GameResult(score, 500, False) for score in (12_345.0, 98_765.0)]
    evaluation = Evaluation(
        player="ppo_abn_fast",
        protocol="legacy",
        greedy=False,
        n_actions=6,
        games=games,
        max_frames=108_000,
        mean=Estimate(55_555.5, 44_444.4, 66_666.6),
        iqm=Estimate(51_111.1, 42_222.2, 63_333.3),
        human_normalised=12.345,
        seed=0,
    )
    printed = io.StringIO()
    result = RunEvaluation("Space Invaders", "run", 1, [evaluation])
    Console(file=printed, width=width).print(evaluation_table(result))
    text = printed.getvalue()
    assert "…" not in text
    numbers = set(re.findall(r"[\d.]+", text))
    for number in ("55555.5", "44444.4", "66666.6", "51111.1", "42222.2", "63333.3", "12.345"):
        assert number in numbers
    assert "ppo_abn_fast" in text
