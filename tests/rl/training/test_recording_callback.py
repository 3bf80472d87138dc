import numpy as np
import pytest
import torch

from rl_abn.record import Episode
from rl_abn.rl.evaluation.record import record_run
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import WEIGHTS, load_tensors

SETTINGS = [
    "algorithm.n_envs=2",
    "algorithm.n_steps=16",
    "algorithm.batch_size=16",
    "algorithm.n_epochs=1",
    "protocol.legacy.max_frames=60",
    "train.n_probes=0",
    "train.checkpoint_every=32",
    "train.reliance_every=0",
    "train.steps=64",
]


def trained(folder, *settings):
    run, _ = prepare_run(
        env="space_invaders",
        agent="ppo_abn_paper",
        seed=2,
        settings=[*SETTINGS, *settings],
        folder=folder,
    )
    train(run, resume=False)
    return run


def episodes(run):
    return sorted(path.name for path in (run.path / "episodes").glob("*"))


@pytest.mark.more
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.full)])
def test_games_are_recorded_and_change_no_byte_of_the_training(tmp_path, precision):
    precision = f"train.precision={precision}"
    plain = trained(tmp_path / "plain", precision)
    recorded = trained(tmp_path / "recorded", precision, "train.record_every=32")
    assert episodes(plain) == []
    assert episodes(recorded) == ["step-32-game-2", "step-64-game-2"]
    first, second = (load_tensors(r.checkpoint().path / WEIGHTS) for r in (plain, recorded))
    assert all(torch.equal(first[name], second[name]) for name in first)
    # It is what `rl-abn record` makes of that checkpoint.
    again = Episode(next(iter(record_run(recorded, step=32, seed=2, out=tmp_path))).path)
    known = Episode(recorded.path / "episodes" / "step-32-game-2")
    assert known.cut is None
    for name in known.meta.arrays:
        assert np.array_equal(known.numbers(name), again.numbers(name)), name


@pytest.mark.more
def test_a_resumed_training_records_what_is_missing(tmp_path):
    run = trained(tmp_path / "run", "train.record_every=32", "train.steps=32")
    kept = run.path / "episodes" / "step-32-game-2" / "meta.json"
    before = kept.stat().st_mtime_ns
    run, resume = prepare_run(
        env="space_invaders",
        agent="ppo_abn_paper",
        seed=2,
        settings=[*SETTINGS, "train.record_every=32"],
        folder=run.path,
        on_exists="resume",
    )
    assert resume
    train(run, resume=True)
    assert episodes(run) == ["step-32-game-2", "step-64-game-2"]
    assert kept.stat().st_mtime_ns == before
