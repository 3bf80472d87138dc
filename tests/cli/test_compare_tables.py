"""The tables of a comparison keep names and numbers whole in a narrow terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from rl_abn.cli.compare_tables import agreement_tables, score_tables
from rl_abn.estimates import Estimate
from rl_abn.rl.evaluation.compare import Agreement, Compared, Comparison
from tests.rl.evaluation.recorded import make_run

ONE, OTHER = "ppo_abn/seed-0", "ppo_cnn_split/seed-1"


@pytest.fixture
def found(tmp_path) -> Comparison:
    run = make_run(tmp_path / "run")
    runs = [
        Compared(ONE, run, 300_032, np.array([754.0, 1021.0, 543.0]), played=False),
        Compared(OTHER, run, 300_032, np.array([548.0, 91.0, 1077.0]), played=False),
    ]
    alike = Estimate(0.061, 0.021, 0.101)
    pair = Agreement(ONE, OTHER, ("policy map", "grad_cam"), alike, alike, alike, alike)
    return Comparison(runs, {}, [], {}, [pair], [])


def printed(
    width: int, tables: Callable[[Comparison, Console], list[Table]], found: Comparison
) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for table in tables(found, console):
        console.print(table)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def test_protocols_are_a_column_where_they_differ(tmp_path, found: Comparison) -> None:
    other = make_run(tmp_path / "other", "ppo_cnn", "space_invaders", "train.protocol=machado2018")
    runs = [found.runs[0], found.runs[1]._replace(run=other)]
    scores = printed(200, score_tables, found._replace(runs=runs))
    (heading,) = [line for line in scores.splitlines() if "protocol" in line]
    assert heading.split()[:4] == ["run", "game", "agent", "protocol"]
    assert "legacy" in scores
    assert "machado2018" in scores


@pytest.mark.parametrize("width", [80, 200])
def test_names_and_intervals_are_never_broken(width: int, found: Comparison) -> None:
    scores = printed(width, score_tables, found)
    assert scores.count(ONE) == scores.count(OTHER) == (2 if width == 80 else 1)
    assert "773 [543, 1021]" in scores
    assert "300,032" in scores
    assert "protocol" not in scores
    agreements = printed(width, agreement_tables, found)
    assert f"{ONE}, {OTHER}" in agreements
    assert "0.06 [0.02, 0.10]" in agreements
    assert "0.061 [0.021, 0.101]" in agreements  # a KL
    assert "6% [2%, 10%]" in agreements
    assert "policy map, grad_cam" in agreements
