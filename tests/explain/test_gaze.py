"""Gaze: four scores, and maps of which it is known how they lie."""

import numpy as np
import pytest
import torch
from scipy import stats

from rl_abn.explain.gaze import (
    OWN_GAZE,
    PEOPLE,
    correlation_with_gaze,
    gaze_density,
    kl_of_gaze,
    nss,
    score_maps,
    shuffled_auc,
)
from rl_abn.explain.gaze_findings import gaze_blocks, gaze_findings, stretches_of
from rl_abn.explain.rivals.priors import centre, random

SCREEN = (210, 160)


def test_scores_by_hand() -> None:
    saliency = np.zeros((2, 2))
    saliency[0, 1] = 1.0  # x = 1, y = 0
    there, elsewhere = np.array([[1.2, 0.4]]), np.array([[0.0, 1.0], [0.0, 0.0]])
    assert nss(saliency, there) == pytest.approx((1 - 0.25) / saliency.std())
    assert shuffled_auc(saliency, there, elsewhere) == 1.0
    assert shuffled_auc(np.ones((2, 2)), there, elsewhere) == 0.5
    assert nss(np.ones((2, 2)), there) == 0.0


def test_scores_against_scipy() -> None:
    rng = np.random.default_rng(0)
    saliency, density = rng.random((2, 20, 16))
    density /= density.sum()
    expected = stats.entropy(density.ravel(), (saliency / saliency.sum()).ravel())
    assert kl_of_gaze(saliency, density) == pytest.approx(expected, abs=1e-9)
    expected = stats.pearsonr(saliency.ravel(), density.ravel()).statistic
    assert correlation_with_gaze(saliency, density) == pytest.approx(expected)
    own = rng.integers(0, (16, 20), size=(15, 2))
    others = rng.integers(0, (16, 20), size=(30, 2))
    u = stats.mannwhitneyu(saliency[own[:, 1], own[:, 0]], saliency[others[:, 1], others[:, 0]])
    assert shuffled_auc(saliency, own, others) == pytest.approx(u.statistic / (15 * 30))


def test_a_map_of_the_gaze_itself_is_best() -> None:
    positions = np.array([[80.0, 105.0], [40.0, 30.0]])
    density = gaze_density(positions, SCREEN)
    assert density.shape == SCREEN
    assert density.sum() == pytest.approx(1.0)
    assert kl_of_gaze(density, density) == pytest.approx(0.0, abs=1e-6)
    assert correlation_with_gaze(density, density) == pytest.approx(1.0)
    assert nss(density, positions) > 5
    away = gaze_density(np.array([[150.0, 200.0]]), SCREEN)
    assert kl_of_gaze(away, density) > 5
    assert nss(away, positions) < 0


def test_a_density_is_the_sum_of_its_gaussians() -> None:
    positions = np.array([[3.0, 2.0], [10.0, 7.5]])
    rows, columns = np.mgrid[:12, :16]
    total = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 9)) for x, y in positions)
    np.testing.assert_allclose(gaze_density(positions, (12, 16), 3.0), total / total.sum())


def planted(n: int = 120, grid: int = 10) -> tuple[dict[str, torch.Tensor], list[np.ndarray]]:
    """An object that goes around, a gaze on it, and maps: on it, of another moment, of nothing."""
    angle = 2 * np.pi * np.arange(n) / 37
    centres = np.stack([80 + 60 * np.cos(angle), 105 + 80 * np.sin(angle)], axis=1)
    noise = np.random.default_rng(0).normal(0, 2, (n, 8, 2))
    positions = list(centres[:, None] + noise)
    on_it = torch.zeros(n, grid, grid)
    for i, (x, y) in enumerate(centres):
        on_it[i, int(y * grid / 210), int(x * grid / 160)] = 1.0
    maps = {
        "on it": on_it,
        "centre": centre(n, (grid, grid)),
        "random": random(n, (grid, grid)),
        "another moment": on_it.roll(n // 2, dims=0),
    }
    return maps, positions


def test_a_map_on_what_people_look_at_is_told_from_those_that_are_not() -> None:
    maps, positions = planted()
    trials, frames = np.zeros(120, np.int64), 40 * np.arange(120)
    numbers = score_maps(maps, positions, stretches_of(trials, frames), SCREEN)
    groups = {"on it": "own", **dict.fromkeys(list(maps)[1:], "control")}
    found = gaze_findings(numbers, groups, trials, frames, ("one",))
    own = found.scores["on it"]
    assert own["nss"].low > 3
    assert own["shuffled_auc"].low > 0.9
    for name in ("centre", "random", "another moment"):
        other = found.scores[name]
        assert other["nss"].value < 0.5
        assert abs(other["shuffled_auc"].value - 0.5) < 0.15
        assert own["kl"].value < other["kl"].value
        assert own["cc"].low > other["cc"].high
        assert found.differences[name]["nss"].low > 2
    # Where people look on average is more than chance for NSS; it is what shuffled AUC takes out.
    assert found.scores[PEOPLE]["nss"].low > 0.5
    assert "shuffled_auc" not in found.scores[PEOPLE]
    assert found.scores[OWN_GAZE]["nss"].value > own["nss"].value
    assert found.resampled == "16 stretches of 300 frames"
    table, *charts = gaze_blocks(found)
    assert table.rows[0][0] == "on it · own"
    assert [chart.unit for chart in charts] == ["NSS", "shuffled AUC"]
    assert PEOPLE not in found.differences


def test_what_is_resampled() -> None:
    trials, frames = np.array([0, 0, 0, 1]), np.array([0, 299, 300, 0])
    assert stretches_of(trials, frames).tolist() == [0, 0, 1, 2]
    maps, positions = planted(16)
    numbers = score_maps(maps, positions, np.arange(16), SCREEN)
    groups = dict.fromkeys(maps, "own")
    few = gaze_findings(numbers, groups, np.arange(16) // 4, np.zeros(16, int), ("a",))
    assert few.resampled == "4 stretches of 300 frames"
    assert few.scores["on it"]["nss"].low is None
    many = gaze_findings(numbers, groups, np.arange(16) // 2, np.zeros(16, int), ("a",))
    assert many.resampled == "8 trials"
    assert many.scores["on it"]["nss"].low is not None


def test_with_one_stretch_there_is_nothing_to_compare_with() -> None:
    maps, positions = planted(6)
    numbers = score_maps(maps, positions, np.zeros(6, int), SCREEN)
    assert (numbers["on it", "shuffled_auc"] == 0.5).all()
