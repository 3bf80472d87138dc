"""What a kill, a stop, a failure or a learning rate too high costs an agent's training."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import signal

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.cli import main
from rl_abn.files import room
from rl_abn.progress import ProgressReport
from rl_abn.rl.training import callbacks
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import METRICS, TRAINING, WEIGHTS, Run, load_tensors
from tests.complaints import complaint
from tests.covering import more

SETTINGS = [
    *("algorithm.n_envs=2", "algorithm.n_steps=16", "algorithm.batch_size=16"),
    "algorithm.n_epochs=1",
    *("protocol.legacy.max_frames=240", "train.n_probes=0", "train.log_every=32"),
]


def start(folder, *settings, on_exists=None, every=64, steps=160):
    own = (f"train.checkpoint_every={every}", f"train.steps={steps}")
    return prepare_run(
        env="pong",
        agent="ppo_abn_paper",
        seed=0,
        settings=[*SETTINGS, *own, *settings],
        folder=folder,
        on_exists=on_exists,
        device="cpu",
    )


def words(folder, *settings, steps=160):
    typed = ["train", "--env", "pong", "--agent", "ppo_abn_paper", "--steps", str(steps)]
    typed += ["--out", str(folder), "--device", "cpu"]
    return typed + [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]


def files(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in run.path.glob("checkpoints/*/*")
        if path.name in (WEIGHTS, TRAINING)
    }


class KilledError(BaseException):
    pass


@pytest.fixture
def kill_at(monkeypatch):
    """Lets every training end as if it were killed at a step."""

    def kill(step):
        class Kill(BaseCallback):
            def _on_step(self):
                if self.model.num_timesteps >= step:
                    raise KilledError
                return True

        monkeypatch.setattr("rl_abn.rl.training.train.StopCallback", lambda stop: Kill())

    return kill


ALWAYS = "train.checkpoint_every_minutes=1e-9"  # after every update


@pytest.mark.more
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.full)])
def test_recovery_checkpoints_change_no_byte_of_a_training(tmp_path, monkeypatch, precision):
    saved = []
    save = callbacks.checkpoint.save

    def noting(run, model, number, **more):
        saved.append((model.num_timesteps, more.get("recovery", False)))
        return save(run, model, number, **more)

    monkeypatch.setattr(callbacks.checkpoint, "save", noting)
    ends = []
    for name, minutes in (("none", "train.checkpoint_every_minutes=0"), ("all", ALWAYS)):
        saved.clear()
        run, _ = start(tmp_path / name, minutes, f"train.precision={precision}", steps=96)
        train(run, resume=False, device="cpu")
        ends.append((files(run), [row["rollout/ep_rew_mean"] for row in rows(run)]))
    assert ends[0] == ends[1]
    assert saved == [(32, True), (64, False), (96, False)]
    assert run.recoveries == []


def rows(run):
    found = read_metrics(run.path / METRICS)
    return [{"rollout/ep_rew_mean": None, **row} for row in found]


def test_a_killed_run_goes_on_from_its_recovery_checkpoint(tmp_path, kill_at, monkeypatch, capsys):
    run, _ = start(tmp_path / "run", ALWAYS, every=1000)
    kill_at(80)
    with pytest.raises(KilledError):
        train(run, resume=False, device="cpu")
    assert run.checkpoints == []
    (recovery,) = run.recoveries
    assert recovery.step == 64
    assert run.checkpoint() == recovery  # eval and watch take it where there is no other
    monkeypatch.undo()
    again, resume = start(tmp_path / "run", on_exists="resume", every=1000)
    with ProgressReport("training", 160, "steps") as report:
        assert train(again, resume=resume, device="cpu", report=report).step == 160
    said = capsys.readouterr().err.splitlines()[0]
    assert said == (
        f"rl-abn: going on from step 64 of 160; checkpoint {recovery.path}: the games start anew, "
        "so the weights differ from an uninterrupted training's"
    )
    assert [checkpoint.step for checkpoint in again.checkpoints] == [160]
    assert again.recoveries == []
    assert [row["step"] for row in read_metrics(again.path / METRICS)] == [32, 64, 96, 128, 160]


@pytest.mark.more
def test_a_damaged_recovery_checkpoint_costs_no_more_than_itself(tmp_path, kill_at, monkeypatch):
    run, _ = start(tmp_path / "run", ALWAYS)
    kill_at(110)
    with pytest.raises(KilledError):
        train(run, resume=False, device="cpu")
    (recovery,) = run.recoveries
    assert recovery.step == 96
    (recovery.path / TRAINING).write_bytes(b"cut")
    monkeypatch.undo()
    whole, _ = start(tmp_path / "whole")
    train(whole, resume=False, device="cpu")
    again, resume = start(tmp_path / "run", on_exists="resume")
    assert train(again, resume=resume, device="cpu").step == 160
    (recovery.path.with_name("damaged-000000000096") / TRAINING).unlink()
    (recovery.path.with_name("damaged-000000000096") / WEIGHTS).unlink()
    assert files(again) == files(whole)


# Signals


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.full)]
)
def test_a_clusters_signal_saves_as_ctrl_c_does(tmp_path, monkeypatch, number):
    def end(self):
        if self.model.num_timesteps in (50, 52):  # some send it twice
            os.kill(os.getpid(), number)
        return True

    monkeypatch.setattr(callbacks.CheckpointCallback, "_on_step", end)
    run, _ = start(tmp_path / "run")
    outcome = train(run, resume=False, device="cpu")
    assert (outcome.interrupted, outcome.saved, outcome.step) == (True, True, 32)
    assert run.checkpoint().step == 32
    assert run.status == "interrupted"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.more)],
)
def test_a_stopped_training_names_its_own_command_and_ends_by_the_signal(
    tmp_path, monkeypatch, capsys, number, code
):
    def end(self):
        if self.model.num_timesteps == 50:
            os.kill(os.getpid(), number)
        return True

    monkeypatch.setattr(callbacks.CheckpointCallback, "_on_step", end)
    typed = words(tmp_path / "a run", "train.keep=2")
    with pytest.raises(SystemExit) as caught:
        main(typed)
    assert caught.value.code == code
    said, again = capsys.readouterr().out.splitlines()[1:]
    assert said == "stopped at 32 of 160 steps; saved. Go on with:"
    assert shlex.split(again) == ["rl-abn", *typed, "--on-exists", "resume"]
    monkeypatch.undo()
    main(shlex.split(again)[1:])
    # The time left is counted in the steps of this training alone.
    assert "training ppo_abn_paper: 32/160 steps, 32 of them before" in capsys.readouterr().err
    assert Run.open(tmp_path / "a run").checkpoint().step == 160


@pytest.fixture
def stopped_at_once(monkeypatch):
    def end(self):
        os.kill(os.getpid(), signal.SIGINT)
        return True

    monkeypatch.setattr(callbacks.CheckpointCallback, "_on_step", end)


@pytest.mark.usefixtures("stopped_at_once")
def test_nothing_is_called_saved_where_nothing_was(tmp_path, capsys):
    folder = tmp_path / "a run"
    with pytest.raises(SystemExit) as caught:
        main(words(folder))
    assert caught.value.code == 130
    out = capsys.readouterr().out
    assert out.splitlines()[1] == (
        "stopped before the first update; nothing is saved. Begin again with:"
    )
    assert out.endswith(" --on-exists resume\n")
    assert f"--out '{folder}'" in out
    assert not (folder / "checkpoints").exists()


# Overwriting


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run of 32 steps, to be copied."""
    run, _ = start(tmp_path_factory.mktemp("short") / "run", steps=32)
    train(run, resume=False, device="cpu")
    return run


@pytest.fixture
def old(short, tmp_path):
    run = Run.open(shutil.copytree(short.path, tmp_path / "run"))
    (run.path / "evaluations").mkdir()
    (run.path / "evaluations" / "step-32.json").write_text("{}")
    return run


def everything(run):
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.more
@pytest.mark.usefixtures("stopped_at_once")
def test_a_run_stopped_before_its_first_update_leaves_the_one_it_replaces(old, capsys):
    before = everything(old)
    with pytest.raises(SystemExit):
        main([*words(old.path), "--on-exists", "overwrite"])
    assert everything(old) == before
    printed = capsys.readouterr()
    assert "the run that was there is back" in printed.err
    assert printed.out.endswith(" --on-exists overwrite\n")  # and not resume: it is the old run
    assert [path.name for path in old.path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize(
    "impossible",
    ["algorithm.learning_rate=1e6", "train.steps=64", *more("algorithm.n_steps=65536")],
)
def test_a_failing_training_leaves_the_run_it_replaces(old, capsys, impossible, monkeypatch):
    if impossible.startswith("algorithm.n_steps"):

        def full(*_, **__):
            raise MemoryError

        monkeypatch.setattr("rl_abn.rl.training.train.make_model", full)
    if impossible.startswith("train.steps"):
        monkeypatch.setattr("os.posix_fallocate", full_disk)
    before = everything(old)
    with pytest.raises(SystemExit) as caught:
        main([*words(old.path, impossible, steps=6400), "--on-exists", "overwrite"])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    back, error = (line for line in lines if not line.startswith("training"))
    assert "the run that was there is back" in back
    assert error.startswith("rl-abn: error: ")
    assert everything(old) == before


@pytest.mark.more
def test_a_notebook_may_overwrite_again_and_again(old, capsys):
    for _ in range(2):
        run, _ = start(old.path, on_exists="overwrite", steps=64)
    assert train(run, resume=False, device="cpu").step == 64
    assert [path.name for path in old.path.parent.iterdir()] == ["run"]
    assert Run.open(old.path).status == "finished"
    assert capsys.readouterr().err.count("the run that was there is back") == 1


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_found_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("os.posix_fallocate", full_disk)
    run, _ = start(tmp_path / "run")
    message = complaint(lambda: train(run, resume=False, device="cpu"))
    assert message.startswith(f"{run.path}: expected room for a checkpoint of ")
    assert message.endswith(" MiB, got none: No space left on device")
    assert not (run.path / METRICS).exists()
    assert run.status == "interrupted"


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_where_no_room_can_be_set_aside_a_little_is_written(tmp_path, monkeypatch, number):
    def unknown(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.posix_fallocate", unknown)
    room.check_room(tmp_path, 10**12)
    assert list(tmp_path.iterdir()) == []


def test_too_large_a_rollout_is_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] can't allocate memory")

    run, _ = start(tmp_path / "run")
    monkeypatch.setattr("rl_abn.rl.training.train.make_model", fail)
    assert complaint(lambda: train(run, resume=False, device="cpu")) == (
        "expected rollouts that fit into memory, got algorithm.n_steps = 16 of algorithm.n_envs = "
        "2 games"
    )


# Divergence


@pytest.mark.more
def test_a_loss_that_is_no_number_ends_the_training_with_the_last_good_checkpoint(
    tmp_path, monkeypatch
):
    run, _ = start(tmp_path / "run", every=32, steps=320)
    loss = run_loss(monkeypatch)
    loss.breaks_at = 96
    message = complaint(lambda: train(run, resume=False, device="cpu"))
    assert message == (
        f"{run.path}: the loss became NaN at step 96; the last good checkpoint is "
        f"{run.path}/checkpoints/step-000000000064; lower the learning rate "
        "(algorithm.learning_rate)"
    )
    assert [checkpoint.step for checkpoint in run.checkpoints] == [32, 64]
    assert run.status == "interrupted"


def run_loss(monkeypatch):
    """Makes the loss NaN from a step on."""
    from rl_abn.rl.algorithms.on_policy import AttentionOnPolicy

    log_update = AttentionOnPolicy.log_update

    class Loss:
        breaks_at = 0

    def breaking(model, metrics):
        log_update(model, metrics)
        if model.num_timesteps >= Loss.breaks_at:
            model.logger.record("train/loss", float("nan"))

    monkeypatch.setattr(AttentionOnPolicy, "log_update", breaking)
    return Loss


@pytest.mark.parametrize("agent", ["ppo_abn_paper", *more("a2c_abn")])
def test_a_learning_rate_that_diverges_saves_nothing(tmp_path, agent):
    settings = [
        setting
        for setting in SETTINGS
        if agent == "ppo_abn_paper" or not re.search("batch|epochs", setting)
    ]
    run, _ = prepare_run(
        env="pong",
        agent=agent,
        seed=0,
        settings=[*settings, "algorithm.learning_rate=1e30", "train.checkpoint_every=32"],
        folder=tmp_path / "run",
        device="cpu",
    )
    message = complaint(lambda: train(run, resume=False, device="cpu"))
    assert "became" in message
    assert message.endswith("lower the learning rate (algorithm.learning_rate)")
    for checkpoint in run.checkpoints:
        weights = load_tensors(checkpoint.path / WEIGHTS)
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    run, _ = start(tmp_path / "run")
    bad = {"a": torch.zeros(2), "b": torch.tensor([1.0, float("inf")])}
    assert complaint(lambda: run.save_checkpoint(7, bad, {}, {})) == (
        f"{run.path}: weights became NaN or infinite (b) at step 7; no checkpoint was saved; "
        "lower the learning rate (algorithm.learning_rate)"
    )
    assert run.checkpoints == []


def test_going_on_says_where(old, capsys):
    run = old
    main([*words(run.path, "train.checkpoint_every=64", steps=64), "--on-exists", "resume"])
    said = capsys.readouterr().err.splitlines()[0]
    path = run.path / "checkpoints" / "step-000000000032"
    assert said == f"rl-abn: going on from step 32 of 64; checkpoint {path}"


def test_minutes_between_recovery_checkpoints_may_change(tmp_path):
    run, _ = start(tmp_path / "run")
    again, resume = start(tmp_path / "run", ALWAYS, on_exists="resume")
    assert resume
    assert again.recipe.agent.train.checkpoint_every_minutes == 1e-9
    assert run.recipe.agent.train.checkpoint_every_minutes == 5.0
