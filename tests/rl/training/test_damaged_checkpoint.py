"""A damaged checkpoint is named and passed over; what is half read is never trained."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct

import pytest
import torch

from rl_abn.cli import main
from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_json
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import make_model, make_training_env
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import (
    META,
    METRICS,
    STATE,
    TRAINING,
    WEIGHTS,
    Run,
    load_tensors,
    save_tensors,
)
from rl_abn.runs import checkpoints as checkpoints_module
from rl_abn.runs.metrics import MetricsFile
from tests.covering import full, more

SETTINGS = [
    "algorithm.n_envs=2",
    "algorithm.n_steps=16",
    "algorithm.batch_size=32",
    "algorithm.n_epochs=1",
    "protocol.legacy.max_frames=240",
    "train.n_probes=1",
    "train.log_every=32",
    "train.checkpoint_every=32",
]


def start(folder, *settings, on_exists=None):
    return prepare_run(
        env="pong",
        agent="ppo_abn_paper",
        seed=0,
        settings=[*SETTINGS, "train.steps=128", *settings],
        folder=folder,
        on_exists=on_exists,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with checkpoints at 32, 64, 96 and 128."""
    run, _ = start(tmp_path_factory.mktemp("damaged") / "run")
    train(run, resume=False, device="cpu")
    return run


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def change(path, **tensors):
    old = load_tensors(path)
    save_tensors(path, {**old, **tensors})


def change_state(folder, **entries):
    write_json(folder / STATE, {**read_json(folder / STATE), **entries})


def text_state(folder, entry):
    text = (folder / STATE).read_text()
    (folder / STATE).write_text(text.replace('"num_timesteps": 128', f'"num_timesteps": {entry}'))


def first(path, part=""):
    return next(name for name in load_tensors(path) if part in name)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def nan(path, part=""):
    name = first(path, part)
    change(path, **{name: torch.full_like(load_tensors(path)[name], float("nan"))})


def without(path, part):
    tensors = load_tensors(path)
    del tensors[first(path, part)]
    save_tensors(path, tensors)


def loop(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)


def giant(path):
    with path.open("r+b") as file:
        file.truncate(2**40)  # sparse: takes no room


def beyond(path):
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8000000000]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))


DAMAGES = {
    "no folder's content": lambda f: [p.unlink() for p in f.iterdir()],
    "no weights": lambda f: (f / WEIGHTS).unlink(),
    "no training": lambda f: (f / TRAINING).unlink(),
    "no state": lambda f: (f / STATE).unlink(),
    "weights cut": lambda f: cut(f / WEIGHTS),
    "training cut": lambda f: cut(f / TRAINING),
    "state cut": lambda f: cut(f / STATE),
    "weights empty": lambda f: (f / WEIGHTS).write_bytes(b""),
    "weights a folder": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()),
    "weights a pipe": lambda f: ((f / WEIGHTS).unlink(), os.mkfifo(f / WEIGHTS)),
    "state a pipe": lambda f: ((f / STATE).unlink(), os.mkfifo(f / STATE)),
    "weights giant": lambda f: giant(f / WEIGHTS),
    "training giant": lambda f: giant(f / TRAINING),
    "state giant": lambda f: giant(f / STATE),
    "a giant header": lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}"),
    "offsets beyond the file": lambda f: beyond(f / WEIGHTS),
    "weights NaN": lambda f: nan(f / WEIGHTS),
    "weights of another name": lambda f: change(f / WEIGHTS, strange=torch.zeros(1)),
    "weights of another shape": lambda f: change(
        f / WEIGHTS, **{first(f / WEIGHTS): torch.zeros(3)}
    ),
    "weights of another type": lambda f: change(
        f / WEIGHTS, **{first(f / WEIGHTS): load_tensors(f / WEIGHTS)[first(f / WEIGHTS)].double()}
    ),
    "moments of another shape": lambda f: change(
        f / TRAINING, **{first(f / TRAINING, "exp_avg"): torch.zeros(3)}
    ),
    "moments missing": lambda f: without(f / TRAINING, "exp_avg"),
    "moments NaN": lambda f: nan(f / TRAINING, "exp_avg"),
    "moments of nobody": lambda f: change(f / TRAINING, **{"optimizer.99.exp_avg": torch.ones(1)}),
    "no rng": lambda f: without(f / TRAINING, "rng.cpu"),
    "rng short": lambda f: change(f / TRAINING, **{"rng.cpu": torch.zeros(7, dtype=torch.uint8)}),
    "rng float": lambda f: change(f / TRAINING, **{"rng.cpu": torch.zeros(5056)}),
    "rng zeros": lambda f: change(
        f / TRAINING, **{"rng.cpu": torch.zeros(5056, dtype=torch.uint8)}
    ),
    "state binary": lambda f: (f / STATE).write_bytes(b"\xff\xfe\x00"),
    "state a list": lambda f: (f / STATE).write_text("[]"),
    "state nested": lambda f: (f / STATE).write_text('{"a":' * 100_000),
    "no barrier": lambda f: change_state(f, barrier=None),
    "barrier negative": lambda f: change_state(f, barrier=-1),
    "steps of another folder": lambda f: change_state(f, num_timesteps=96),
    "steps true": lambda f: text_state(f, "true"),
    "steps negative": lambda f: text_state(f, "-128"),
    "steps infinite": lambda f: text_state(f, "1e400"),
    "steps of many digits": lambda f: text_state(f, "9" * 5000),
    "steps beyond": lambda f: text_state(f, "9" * 400),
    "updates words": lambda f: change_state(f, n_updates="many"),
    "episodes words": lambda f: change_state(f, episodes=["many"]),
    "episodes without a length": lambda f: change_state(f, episodes=[{"r": 1.0, "t": 2.0}]),
    "optimizer words": lambda f: change_state(f, optimizer="adam"),
    "optimizer numbers of nobody": lambda f: change_state(f, optimizer={"scalars": {"lr": 1.0}}),
    "a loop of links": loop,
}


@pytest.fixture(scope="module")
def model(trained):
    """Learned nothing yet, and stays so: one serves all damages."""
    return make_model(trained.recipe, make_training_env(trained.recipe), "cpu")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_changes_nothing_of_the_model(damage, trained, model, tmp_path):
    before = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    rng = torch.get_rng_state()
    sound = trained.checkpoint()
    newest = sound._replace(path=tmp_path / sound.path.name)
    shutil.copytree(sound.path, newest.path)
    DAMAGES[damage](newest.path)
    with pytest.raises(RlAbnError) as caught:
        checkpoint.restore(model, newest)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(newest.path)) + 400
    assert str(newest.path) in message
    after = model.policy.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.policy.optimizer.state
    assert (model.num_timesteps, model._n_updates) == (0, 0)
    assert torch.equal(torch.get_rng_state(), rng)


def test_a_sound_checkpoint_comes_back_whole(copy):
    model = make_model(copy.recipe, make_training_env(copy.recipe), "cpu")
    assert checkpoint.restore(model, copy.checkpoint())[0] == 4
    stored = load_tensors(copy.checkpoint().path / TRAINING)
    for index, entry in model.policy.optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            assert torch.equal(value, stored[f"optimizer.{index}.{name}"])
    assert model.num_timesteps == 128


@pytest.mark.more
def test_resuming_past_damage_ends_as_the_uninterrupted_run(trained, copy, capsys):
    cut(copy.checkpoints[3].path / WEIGHTS)
    nan(copy.checkpoints[2].path / TRAINING, "exp_avg")
    run, resume = start(copy.path, on_exists="resume")
    assert train(run, resume=resume, device="cpu").step == 128
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, step in zip(lines, (128, 96), strict=True):
        assert line.startswith(f"rl-abn: warning: {run.path}/checkpoints/step-{step:012d}/")
        assert line.endswith(f"set aside as damaged-{step:012d}, going on from step 64")
        assert (run.path / "checkpoints" / f"damaged-{step:012d}" / STATE).is_file()
    assert [c.step for c in run.checkpoints] == [32, 64, 96, 128]
    for first_, second in zip(trained.checkpoints, run.checkpoints, strict=True):
        for file in (WEIGHTS, TRAINING):
            assert (first_.path / file).read_bytes() == (second.path / file).read_bytes()
    assert [row["step"] for row in read_metrics(run.path / METRICS)] == [32, 64, 96, 128]
    assert ProbeLog.open(run).steps == ProbeLog.open(trained).steps


@pytest.mark.more
def test_damage_twice_at_one_step_keeps_both(copy):
    for name in ("damaged-000000000128", "damaged-000000000128-1"):
        cut(copy.checkpoint(128).path / WEIGHTS)
        run, _ = start(copy.path, on_exists="resume")
        train(run, resume=True, device="cpu")
        assert (run.path / "checkpoints" / name).is_dir()
    assert run.checkpoint().step == 128


def command(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code, capsys.readouterr().err


RESUME = ["train", "--env", "pong", "--agent", "ppo_abn_paper", "--on-exists", "resume"]


def test_where_none_is_whole_nothing_is_trained_or_moved(copy, capsys):
    for found in copy.checkpoints:
        (found.path / TRAINING).unlink()
    before = sorted(copy.path.rglob("*"))
    code, err = command(capsys, *RESUME, "--out", copy.path)
    assert code == 2
    assert err.count("\n") == 1
    newest = copy.checkpoint().path
    assert err.startswith(
        "rl-abn: error: expected a whole checkpoint to go on from, got 4 damaged; "
        f"the newest: {newest / TRAINING}: expected a safetensors file, got "
    )
    assert err.endswith("use --on-exists new or overwrite\n")
    assert sorted(copy.path.rglob("*")) == before


@pytest.mark.parametrize("proof", ["metrics", "meta"])
def test_a_run_whose_checkpoints_are_missing_is_not_begun_again(copy, capsys, proof):
    shutil.rmtree(copy.path / "checkpoints")
    if proof == "metrics":
        copy.update_meta(steps=0)
    else:
        (copy.path / METRICS).unlink()
    before = {path: path.read_bytes() for path in copy.path.glob("*.jsonl")}
    code, err = command(capsys, *RESUME, "--out", copy.path)
    assert code == 2
    assert err == (
        f"rl-abn: error: {copy.path}: expected a checkpoint to go on from, got none, though 128 "
        "steps were trained; use --on-exists new or overwrite\n"
    )
    assert {path: path.read_bytes() for path in copy.path.glob("*.jsonl")} == before


@pytest.mark.more
def test_a_run_that_never_had_a_checkpoint_starts_from_nothing(copy, capsys):
    shutil.rmtree(copy.path / "checkpoints")
    copy.update_meta(steps=0)
    first_row = (copy.path / METRICS).read_text().splitlines(keepends=True)[0]
    (copy.path / METRICS).write_text(first_row)  # killed while the first was being saved
    (copy.path / "attention" / "probes.safetensors").write_bytes(b"cut")
    run, resume = start(copy.path, "train.steps=64", on_exists="resume")
    assert train(run, resume=resume, device="cpu").step == 64
    assert [c.step for c in run.checkpoints] == [32, 64]
    assert [row["step"] for row in read_metrics(run.path / METRICS)] == [32, 64]
    assert ProbeLog.open(run).steps == [0, 32, 64]
    assert "no checkpoint was saved before the training ended" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("eval", "--episodes", "1"), ("watch", "--max-steps", "1")])
def test_playing_a_damaged_checkpoint_names_the_newest_whole_one(copy, capsys, words):
    cut(copy.checkpoints[3].path / WEIGHTS)
    nan(copy.checkpoints[2].path / WEIGHTS)
    code, err = command(capsys, words[0], copy.path, *words[1:])
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith(f"rl-abn: error: {copy.checkpoint().path / WEIGHTS}: expected ")
    assert err.endswith("; the newest whole one: --checkpoint 64\n")


@pytest.mark.parametrize(
    "content",
    [
        None,
        *more(b'{"a":' * 100_000, b'{"wall_time_s": "long"}'),
        *full(b"", b"\xff", b"[]"),
    ],
)
def test_a_run_goes_on_without_its_meta(copy, capsys, content):
    if content is None:
        (copy.path / META).unlink()
    else:
        (copy.path / META).write_bytes(content)
    run, resume = start(copy.path, "train.steps=160", on_exists="resume")
    assert train(run, resume=resume, device="cpu").step == 160
    assert read_json(run.path / META)["status"] == "finished"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (0 if content and b"wall" in content else 1)


def test_metrics_go_on_after_a_row_that_a_kill_cut_off(copy):
    shutil.rmtree(copy.checkpoint().path)
    with (copy.path / METRICS).open("a") as file:
        file.write('{"step": 160, "rollout/ep_le')
    run, resume = start(copy.path, on_exists="resume")
    train(run, resume=resume, device="cpu")
    rows = [json.loads(line) for line in (run.path / METRICS).read_text().splitlines()]
    assert [row["step"] for row in rows] == [32, 64, 96, 128]


@pytest.mark.parametrize(
    "line", ["[1]", "7", '{"step": "x"}', '{"step": true}', "{}", "[" * 99_999, "\0" * 50]
)
def test_rows_after_an_unreadable_one_are_kept_and_it_is_named(tmp_path, capsys, line):
    path = tmp_path / METRICS
    path.write_text(f'{{"step": 1}}\n{line}\n{line}\n{{"step": 3}}\n{{"step": 9}}\n{{"step": 4')
    assert read_metrics(path) == [{"step": 1}, {"step": 3}, {"step": 9}]
    MetricsFile(tmp_path, resume_at=5).close()
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'
    assert capsys.readouterr().err == (
        f"rl-abn: warning: {path}: 2 rows are unreadable and left out (line 2, 3)\n"
    )


# Keeping the newest


@pytest.mark.more
def test_only_the_newest_checkpoints_stay(tmp_path):
    run, _ = start(tmp_path / "run", "train.keep=2")
    train(run, resume=False, device="cpu")
    assert sorted(p.name for p in (run.path / "checkpoints").iterdir()) == [
        "step-000000000096",
        "step-000000000128",
    ]


@pytest.mark.more
def test_how_many_stay_may_change_on_the_way(copy):
    run, resume = start(copy.path, "train.steps=160", "train.keep=1", on_exists="resume")
    assert [c.step for c in run.checkpoints] == [32, 64, 96, 128]
    train(run, resume=resume, device="cpu")
    assert [c.step for c in run.checkpoints] == [160]
    assert Run.open(run.path).recipe.agent.train.keep == 1


@pytest.mark.more
def test_a_full_disk_removes_nothing_older(copy, monkeypatch):
    run, resume = start(copy.path, "train.steps=160", "train.keep=1", on_exists="resume")
    before = {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").rglob("*")}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "write_tensors", full)
        with pytest.raises(RlAbnError, match=r"cannot be written: .*No space left on device"):
            train(run, resume=resume, device="cpu")
    after = {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").rglob("*")}
    assert after == before
    train(run, resume=True, device="cpu")
    assert [c.step for c in run.checkpoints] == [160]
