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
    return Comparison(runs, {}, {}, "raw", [pair], [])


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


@pytest.mark.parametrize("width", [80, 200])
def test_names_and_intervals_are_never_broken(width: int, found: Comparison) -> None:
    scores = printed(width, score_tables, found)
    assert scores.count(ONE) == scores.count(OTHER) == (2 if width == 80 else 1)
    assert "773 [543, 1021]" in scores
    assert "300,032" in scores
    agreements = printed(width, agreement_tables, found)
    assert f"{ONE}, {OTHER}" in agreements
    assert "0.06 [0.02, 0.10]" in agreements
    assert "0.061 [0.021, 0.101]" in agreements  # a KL
    assert "6% [2%, 10%]" in agreements
    assert "policy map, grad_cam" in agreements
