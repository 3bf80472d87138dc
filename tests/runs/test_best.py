import math

import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.runs.best import best_checkpoint, best_score, save_best
from rl_abn.runs.checkpoints import save_checkpoint
from rl_abn.runs.contents import check_only_run


def save(run, step, score):
    def made(folder):
        tensors = {"w": torch.full((2,), float(step))}
        return save_checkpoint(folder / "checkpoints", step, tensors, tensors, {})

    return save_best(run, step, {"mean_score": score}, made)


def test_a_better_one_replaces_the_best(tmp_path):
    assert best_score(tmp_path) == -math.inf
    save(tmp_path, 10, 1.5)
    found = save(tmp_path, 20, 2.5)
    assert best_checkpoint(tmp_path) == found
    assert best_score(tmp_path) == 2.5
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["best-000000000020"]


def test_one_that_cannot_be_written_leaves_the_best_before_it(tmp_path):
    before = save(tmp_path, 10, 1.5)

    def full(folder):
        folder.mkdir()
        raise OSError(28, "No space left on device")

    with pytest.raises(RlAbnError, match=r"cannot be written: .*No space left"):
        save_best(tmp_path, 20, {"mean_score": 9.0}, full)
    assert best_checkpoint(tmp_path) == before
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_a_kill_between_two_leaves_the_newer(tmp_path):
    save(tmp_path, 10, 1.5)
    save(tmp_path / "other", 20, 2.5).path.rename(tmp_path / "checkpoints/best-000000000020")
    assert best_checkpoint(tmp_path).step == 20
    save(tmp_path, 30, 3.5)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["best-000000000030"]


def test_a_damaged_score_is_no_score(tmp_path):
    path = save(tmp_path, 10, 1.5).path / "evaluation.json"
    path.write_text("{")
    assert best_score(tmp_path) == -math.inf


def test_the_best_is_a_part_of_its_run(tmp_path):
    save(tmp_path, 10, 1.5)
    left = tmp_path / "checkpoints/.best.partial/checkpoints/step-000000000020"
    left.mkdir(parents=True)
    (left / "policy.safetensors").touch()  # of a training that was killed
    check_only_run(tmp_path)
