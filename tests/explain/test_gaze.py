"""Gaze: Atari-HEAD's tables and four scores, on a small made sample."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rl_abn.errors import RlAbnError
from rl_abn.explain.gaze import (
    SCREEN,
    correlation_with_gaze,
    gaze_density,
    kl_of_gaze,
    nss,
    read_gaze,
    shuffled_auc,
)

TABLE = """frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions
RZ_1_1,0,0,50,0,0,80.5,105.25,81.0,106.0
RZ_1_2,0,0,50,0,0,null
RZ_1_3,0,10,50,10,3,-5.0,20.0,12.0,30.0

RZ_1_4,0,10,50,0,3,400.0,20.0
"""


def test_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "trial.txt").write_text(TABLE)
    frames = read_gaze(tmp_path / "trial.txt")
    assert [frame.frame for frame in frames] == ["RZ_1_1", "RZ_1_3"]
    assert frames[0].positions.tolist() == [[80.5, 105.25], [81.0, 106.0]]
    assert frames[1].positions.tolist() == [[12.0, 30.0]]  # what is off the screen is left out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "expected a first line that begins with 'frame_id'"),
        (TABLE + "RZ_1_5,0,0,50,0,0,1.0\n", "line 7: expected pairs of x and y"),
        (TABLE + "RZ_1_5,0,0,50,0,0,a,b\n", "line 7: expected pairs of x and y"),
    ],
)
def test_damaged_tables(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trial.txt"
    path.write_text(text)
    with pytest.raises(RlAbnError, match=said):
        read_gaze(path)
    with pytest.raises(RlAbnError, match="expected a table of Atari-HEAD"):
        read_gaze(tmp_path / "none.txt")


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
    density = gaze_density(positions)
    assert density.shape == SCREEN
    assert density.sum() == pytest.approx(1.0)
    assert kl_of_gaze(density, density) == pytest.approx(0.0, abs=1e-6)
    assert correlation_with_gaze(density, density) == pytest.approx(1.0)
    assert nss(density, positions) > 5
    away = gaze_density(np.array([[150.0, 200.0]]))
    assert kl_of_gaze(away, density) > 5
    assert nss(away, positions) < 0
