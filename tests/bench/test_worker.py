"""From a tiny spec to its measurement: an emulator, SB3's algorithm, ours, a whole training."""

from __future__ import annotations

import pytest

from rl_abn.bench import games
from rl_abn.bench.phases import PHASES
from rl_abn.bench.rounds import run_worker
from rl_abn.bench.spec import Measured, Spec
from rl_abn.bench.worker import measure
from rl_abn.rl.training import checkpoint, train

TINY = ("algorithm.n_envs=2", "algorithm.n_steps=4")


def check_training(found: Measured, steps: int) -> None:
    assert found.steps == steps
    assert found.seconds > 0
    assert found.peak_rss_mib > 10
    assert tuple(found.shares) == PHASES
    assert sum(found.shares.values()) == pytest.approx(1)
    assert min(found.shares[phase] for phase in ("emulator", "acting", "learning")) > 0


@pytest.mark.more
def test_an_emulator_in_a_process_of_its_own():
    spec = Spec(kind="ale", env="pong", n_envs=2, emulator_threads=1, warm_up=8, steps=31)
    found = run_worker(spec)
    assert isinstance(found, Measured)
    assert found.steps == 32
    assert found.sps > 0
    assert found.shares == {}
    assert found.peak_rss_mib > 10


@pytest.mark.parametrize("kind", ["ale_vec_env", "sb3_vec_env"])
def test_the_other_emulators(kind):
    found = measure(Spec(kind=kind, env="breakout", n_envs=2, warm_up=2, steps=6))
    assert found.steps == 6
    assert found.seconds > 0


def test_sb3():
    found = measure(Spec(kind="sb3", agent="a2c", env="pong", n_envs=2, warm_up=10, steps=20))
    check_training(found, 20)
    assert found.logging_cost is None


def test_ours():
    spec = Spec(kind="ours", agent="a2c_abn", env="pong", settings=TINY, warm_up=8, steps=9)
    check_training(measure(spec), 16)


@pytest.mark.more
def test_a_whole_training_is_timed_from_logging_point_to_logging_point():
    plain = (train.make_model, checkpoint.save)
    settings = (*TINY, "train.log_every=24", "train.n_probes=1")
    spec = Spec(kind="run", agent="a2c_abn", env="pong", settings=settings, warm_up=8)
    found = measure(spec)
    check_training(found, 24)
    assert found.shares["logging"] > 0
    assert found.logging_cost > found.shares["logging"]
    assert (train.make_model, checkpoint.save) == plain


@pytest.mark.more
@pytest.mark.parametrize("kind", ["play", "record", "read"])
def test_one_game_at_a_time(kind, monkeypatch):
    monkeypatch.setattr(games, "STEPS_A_GAME", 12)
    found = measure(Spec(kind=kind, agent="ppo_abn", env="pong", warm_up=12, steps=13))
    assert found.steps == (13 if kind == "read" else 24)
    assert found.seconds > 0
    assert found.shares == {}


@pytest.mark.more
def test_a_worker_that_fails_says_why_in_one_line():
    assert run_worker(Spec(kind="ours", agent="ppo_abm", env="pong")) == (
        "unknown agent 'ppo_abm': did you mean 'ppo_abn'?"
    )
