"""Several processes that train one agent: the same weights as one process, to rounding."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
import torch

from rl_abn.cli import main
from rl_abn.errors import RlAbnError
from rl_abn.rl.training.distributed import Ranks
from rl_abn.runs import Run, load_tensors
from tests.complaints import complaint
from tests.covering import full

COMMON = ["--env", "pong", "--device", "cpu", "--set", "train.n_probes=0"]
COMMON += ["--set", "train.precision=fp32"]  # in which rounding is small
# Plain steps: Adam's division by a tiny second moment would make rounding errors large.
PPO = [
    "algorithm.n_envs=4",
    "algorithm.n_steps=8",
    "algorithm.batch_size=32",
    "algorithm.n_epochs=2",
    "algorithm.adam_eps=1.0",
    "algorithm.learning_rate=0.02",
    "algorithm.clip_range=1.0",
]
AGENTS = {
    "ppo_abn": [*PPO, "algorithm.map_information_coef=1.0"],
    "ppo_abn_paper": PPO,
    "ppo_hard": [*PPO, "algorithm.sequence_length=4"],
    "a2c_abn": ["algorithm.n_envs=4", "algorithm.n_steps=8", "algorithm.learning_rate=0.02"],
}


def command(folder, agent, *more, steps=96):
    """The words after `rl-abn`."""
    settings = [word for setting in AGENTS[agent] for word in ("--set", setting)]
    words = ["train", *COMMON, "--agent", agent, "--steps", str(steps), *settings]
    return [*words, "--out", str(folder), *more]


# Ranks are forked from a process that has imported what they need, which would take each of them
# seconds; torch's optimizers ask for torch._dynamo.
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["rl_abn.rl.training.train", "torch._dynamo"])


def run_rank(words, variables, errors):
    os.environ.update(variables)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    torch.set_num_threads(1)
    main(words)


def train(folder, n_ranks, agent, *more, steps=96):
    """Trains in several processes, under the variables that torchrun sets.

    Returns:
        What each rank said on standard error, and its exit code.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as said:
        files = [Path(said, str(rank)) for rank in range(n_ranks)]
        processes = []
        for rank, file in enumerate(files):
            variables = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(n_ranks),
                "LOCAL_WORLD_SIZE": str(n_ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            words = command(folder, agent, *more, steps=steps)
            processes.append(FORK.Process(target=run_rank, args=(words, variables, file)))
            processes[-1].start()
        for process in processes:
            process.join(timeout=120)
        return [
            (file.read_text(), process.exitcode)
            for file, process in zip(files, processes, strict=True)
        ]


def weights(folder, step=None):
    return load_tensors(Run.open(folder).checkpoint(step).path / "policy.safetensors")


def distance(one, other):
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.more
@pytest.mark.parametrize(
    "agent",
    ["ppo_hard", "ppo_abn", *full("ppo_abn_paper", "a2c_abn")],
)
def test_two_ranks_end_with_the_weights_of_one_process(agent, tmp_path):
    every = ("--set", "train.checkpoint_every=32")
    main(command(tmp_path / "1", agent, *every))
    for errors, status in train(tmp_path / "2", 2, agent, *every):
        assert status == 0, errors
    alone, together = weights(tmp_path / "1"), weights(tmp_path / "2")
    moved = distance(alone, weights(tmp_path / "1", 32))
    assert moved > 1e-3
    assert distance(alone, together) < 1e-6

    # What is logged is of all ranks together, and the first alone wrote it.
    logged = [
        json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1])
        for name in ("1", "2")
    ]
    assert logged[0].keys() == logged[1].keys()
    assert logged[1]["train/value_loss"] == pytest.approx(logged[0]["train/value_loss"], rel=1e-3)
    assert json.loads((tmp_path / "2" / "meta.json").read_text())["ranks"] == 2


@pytest.mark.full
def test_ranks_learn_from_a_teacher_the_same_bytes_twice(tmp_path):
    main(command(tmp_path / "teacher", "a2c_abn", steps=32))
    taught = ("--teacher", str(tmp_path / "teacher"), "--set", "train.checkpoint_every=32")
    for folder in ("once", "again"):
        for errors, status in train(tmp_path / folder, 2, "ppo_abn_paper", *taught, steps=64):
            assert status == 0, errors
    main(command(tmp_path / "alone", "ppo_abn_paper", *taught, steps=64))
    main(command(tmp_path / "untaught", "ppo_abn_paper", *taught[2:], steps=64))
    once = weights(tmp_path / "once")
    assert distance(once, weights(tmp_path / "again")) == 0
    assert distance(once, weights(tmp_path / "alone")) < 1e-6
    assert distance(once, weights(tmp_path / "untaught")) > 1e-5


@pytest.mark.full
def test_ranks_resume_bit_identically_and_with_another_number_of_them(tmp_path):
    every = ("--set", "train.checkpoint_every=32")
    train(tmp_path / "whole", 2, "a2c_abn", *every)
    train(tmp_path / "two", 2, "a2c_abn", *every, steps=64)
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    train(tmp_path / "two", 2, "a2c_abn", *every, "--on-exists", "resume")
    main(command(tmp_path / "one", "a2c_abn", *every, "--on-exists", "resume"))
    whole = weights(tmp_path / "whole")
    assert distance(whole, weights(tmp_path / "two")) == 0
    assert distance(whole, weights(tmp_path / "one")) < 1e-5


def test_a_mistake_is_said_once_and_ends_all_ranks(tmp_path):
    main(command(tmp_path / "run", "a2c_abn", steps=32))
    (first, status_0), (second, status_1) = train(tmp_path / "run", 2, "a2c_abn", steps=32)
    assert (status_0, status_1) == (2, 2)
    assert "which exists; add --on-exists" in first
    assert "Traceback" not in first + second
    assert "expected" not in second


def test_ranks_that_do_not_divide_the_games_are_refused_in_one_line(tmp_path):
    results = train(tmp_path / "run", 3, "a2c_abn", steps=32)
    assert [status for _, status in results] == [2, 2, 2]
    assert (
        "expected a number of ranks that divides algorithm.n_envs = 4, got 3; "
        "the nearest below is 2" in results[0][0]
    )


def test_shares_cover_all_games_once():
    shares = [Ranks(rank, 4).share(12, "games") for rank in range(4)]
    assert [i for share in shares for i in range(12)[share]] == list(range(12))


def test_a_single_value_stays_as_it_is():
    value = torch.tensor([3.0])
    assert torch.equal(Ranks().normalise(value), value)


def test_one_rank_alone_changes_nothing():
    ranks = Ranks()
    values = torch.randn(50)
    expected = (values - values.mean()) / (values.std() + 1e-8)
    assert torch.equal(ranks.normalise(values), expected)
    assert torch.equal(ranks.mean_(values), values)
    assert ranks.is_main
    assert ranks.broadcast(lambda: 3) == 3


@pytest.mark.parametrize("world", ["0", "-2", "two", "1.5"])
def test_an_environment_torchrun_did_not_make_is_refused(world, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(RlAbnError, match="expected the environment that torchrun sets, got RANK=0"):
        Ranks.of_environment()


def test_ranks_that_know_no_address_are_one_line(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("MASTER_PORT", "29500")
    message = complaint(Ranks.of_environment)
    assert message.startswith("expected MASTER_ADDR beside RANK and WORLD_SIZE, as torchrun sets")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert Ranks.of_environment().count == 2
    monkeypatch.delenv("MASTER_ADDR")
    monkeypatch.setenv("WORLD_SIZE", "1")  # nobody is to be met
    assert Ranks.of_environment().count == 1
