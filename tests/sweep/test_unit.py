"""A unit that is stopped, cut and worked on again ends with the bytes of one that was not."""

from __future__ import annotations

import json
import shlex
import shutil
import signal

import pytest

from rl_abn.cli import main
from rl_abn.rl.training import train as training
from rl_abn.rl.training.callbacks import StopCallback
from rl_abn.runs import META, STATE, TRAINING, WEIGHTS, Run, name_of, read_json
from rl_abn.sweep.exact import barriers, exact_checkpoints, keep_exact_checkpoints
from rl_abn.sweep.plan import make_plan
from rl_abn.sweep.status import read_status
from rl_abn.sweep.unit import evaluation_file, is_done, is_trained, work
from tests.sweep.conftest import SMALL, write_sweep

STEPS = 192
SETTINGS = [*SMALL, "train.checkpoint_every=64"]  # two rollouts
EVAL = "[eval]\nepisodes = 2\nmax_steps = 4\nblind = 'none'"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A unit that was never cut, and its run folder."""
    folder = tmp_path_factory.mktemp("whole")
    unit = make_plan(write_sweep(folder, EVAL, seeds=[1], steps=STEPS, set=SETTINGS)).units[0]
    assert not is_done(unit, folder / "seed-1")
    assert work(unit, folder / "seed-1", "cpu")
    return unit, folder / "seed-1"


@pytest.fixture
def unit(whole):
    return whole[0]


@pytest.fixture
def stop_at(monkeypatch):
    """Lets every training be stopped by Ctrl-C at a step."""

    def stop(step):
        class Stop(StopCallback):
            def _on_step(self):
                if self.model.num_timesteps >= step:
                    self.stop.received = signal.SIGINT
                return super()._on_step()

        monkeypatch.setattr(training, "StopCallback", Stop)

    return stop


def weights(folder):
    checkpoint = folder / "checkpoints" / name_of(STEPS)
    return [(checkpoint / kind).read_bytes() for kind in (WEIGHTS, TRAINING)]


@pytest.mark.more
def test_its_run_names_a_command_that_trains_the_same(whole, tmp_path):
    _, folder = whole
    name, *words = shlex.split(read_json(folder / META)["command"])
    assert (name, words[0]) == ("rl-abn", "train")
    main([*words, "--out", str(tmp_path / "alone"), "--device", "cpu"])
    assert Run.open(tmp_path / "alone").recipe == Run.open(folder).recipe
    assert weights(tmp_path / "alone") == weights(folder)


@pytest.mark.more
def test_barriers(unit):
    assert barriers(unit.recipe()) == {64: 1, 128: 2, 192: 3}


def test_barriers_fall_on_whole_rollouts(unit):
    recipe = unit.recipe()
    train = recipe.agent.train.model_copy(update={"checkpoint_every": 80, "steps": 250})
    agent = recipe.agent.model_copy(update={"train": train})
    assert barriers(recipe.model_copy(update={"agent": agent})) == {96: 1, 160: 2, 256: 3}


def test_only_checkpoints_of_an_uncut_training_stay(whole, tmp_path):
    run = Run(tmp_path / "seed-1", whole[0].recipe())
    shutil.copytree(whole[1], run.path)
    folder = run.path / "checkpoints"
    assert [checkpoint.step for checkpoint in exact_checkpoints(run)] == [64, 128, 192]
    shutil.copytree(folder / name_of(128), folder / name_of(160))  # number 2, at no barrier
    shutil.copytree(folder / name_of(128), folder / name_of(160, "recovery"))
    (folder / name_of(64) / STATE).write_text("{")
    keep_exact_checkpoints(run)
    left = sorted(path.name for path in folder.iterdir())
    assert left == [name_of(64), name_of(128), name_of(192)]  # the damaged one is set aside later
    assert [checkpoint.step for checkpoint in exact_checkpoints(run)] == [128, 192]


@pytest.mark.more
@pytest.mark.parametrize(
    ("stops", "go_on_from"),
    [
        pytest.param([100, 170], [64, 128], id="twice"),
        # The stop's own checkpoint replaces the one that is due there.
        pytest.param([70], [None], id="right after a checkpoint"),
        pytest.param([40], [None], id="before the first", marks=pytest.mark.full),
    ],
)
def test_stopped_and_worked_on_again(whole, tmp_path, stop_at, monkeypatch, stops, go_on_from):
    unit, uncut = whole
    cut = tmp_path / "seed-1"
    for step, exact in zip(stops, go_on_from, strict=True):
        stop_at(step)
        assert not work(unit, cut, "cpu")
        assert not is_trained(unit, cut)
        found = exact_checkpoints(Run.open(cut))
        assert [checkpoint.step for checkpoint in found][-1:] == ([exact] if exact else [])
    monkeypatch.undo()
    assert work(unit, cut, "cpu")
    assert weights(uncut) == weights(cut)
    names = [sorted(p.name for p in (run / "checkpoints").iterdir()) for run in (uncut, cut)]
    assert names[0] == names[1] == [name_of(step) for step in (64, 128, 192)]


def test_what_is_done_is_not_done_again(whole, monkeypatch):
    unit, folder = whole
    assert is_done(unit, folder)
    kept = json.loads(evaluation_file(unit.eval, folder).read_text())
    assert [len(e["games"]) for e in kept["evaluations"]] == [2]
    assert read_status(folder).step == STEPS
    monkeypatch.setattr("rl_abn.sweep.unit.prepare_run", None)
    monkeypatch.setattr("rl_abn.sweep.unit.evaluate_run", None)
    assert work(unit, folder, "cpu")
    # Another evaluation is another file, and no other training.
    more = unit.model_copy(update={"eval": unit.eval.model_copy(update={"episodes": 3})})
    assert is_trained(more, folder)
    assert not is_done(more, folder)


def test_the_machine_settles_what_would_depend_on_its_cores(whole):
    train = Run.open(whole[1]).recipe.agent.train
    assert (train.env_parts, train.emulator_threads) == (1, 1)
    assert train.checkpoint_every_minutes == 0


@pytest.mark.more
def test_an_inexact_unit_goes_on_from_its_newest_checkpoint(unit, tmp_path, stop_at, monkeypatch):
    machine = unit.machine.model_copy(update={"exact": False})
    unit = unit.model_copy(update={"machine": machine, "eval": None})
    stop_at(100)
    assert not work(unit, tmp_path / "seed-1", "cpu")
    monkeypatch.undo()
    assert work(unit, tmp_path / "seed-1", "cpu")
    steps = [checkpoint.step for checkpoint in Run.open(tmp_path / "seed-1").checkpoints]
    assert steps == [64, 96, 128, 192]


@pytest.mark.more
def test_an_evaluation_that_is_cut_goes_on_with_the_next_player(whole, tmp_path, monkeypatch):
    unit, folder = whole
    shutil.copytree(folder, tmp_path / "seed-1")
    asked = unit.eval.model_copy(update={"blind": "frozen", "random": True, "seed": 1})
    unit = unit.model_copy(update={"eval": asked})

    def stop(self, done, **numbers):
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("rl_abn.sweep.status.StatusReport.update", stop)
    with pytest.raises(KeyboardInterrupt):
        work(unit, tmp_path / "seed-1", "cpu")
    assert not is_done(unit, tmp_path / "seed-1")
    played = []
    monkeypatch.setattr(
        "rl_abn.sweep.status.StatusReport.update", lambda self, done, **_: played.append(done)
    )
    assert work(unit, tmp_path / "seed-1", "cpu")
    assert played == [3, 4, 5, 6]
    assert not (tmp_path / "seed-1" / "evaluations" / "unfinished").exists()
    # Nothing tells how often it was cut.
    assert work(unit, folder, "cpu")
    path = evaluation_file(asked, folder)
    cut = (tmp_path / "seed-1" / "evaluations" / path.name).read_text()
    assert cut.replace(str(tmp_path / "seed-1"), str(folder)) == path.read_text()
