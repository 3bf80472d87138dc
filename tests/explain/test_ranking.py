"""Ranks and their agreement, against SciPy."""

import numpy as np
import pytest
from scipy import stats

from rl_abn.explain.ranking import kendalls_w, rank


def test_ranks() -> None:
    numbers = {
        "good": {"deletion": 3.0, "insertion": 2.0},
        "bad": {"deletion": 1.0, "insertion": 1.0},
        "fair": {"deletion": 2.0, "insertion": 2.0},
    }
    found = rank(numbers)
    assert found.maps == ("good", "fair", "bad")
    assert found.mean_rank.tolist() == [1.25, 1.75, 3.0]
    assert found.ranks.tolist() == [[1.0, 1.5], [2.0, 1.5], [3.0, 3.0]]


def test_agreement_is_friedmans_statistic() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(7, 5))
    table[:, 1] = table[:, 0].round()
    ranks = stats.rankdata(table, axis=0)
    # W = chi square / (metrics * (maps - 1)), with SciPy's correction for ties.
    chi = stats.friedmanchisquare(*table).statistic
    assert kendalls_w(ranks) == pytest.approx(chi / (5 * 6))
    assert kendalls_w(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])) == pytest.approx(1.0)
    assert kendalls_w(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])) == pytest.approx(0.0)
