"""A training session: what meta.json says of it, how it stops, and which run goes on."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
from torch import zeros

from rl_abn.errors import RlAbnError
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.runs import META, RECIPE, OnExists, Run, check_free, read_json
from rl_abn.runs.maps import MapLog, open_or_create
from rl_abn.runs.metrics import MetricsFile
from rl_abn.runs.resume import run_to_resume
from rl_abn.runs.training_session import training_session
from tests.complaints import complaint


@pytest.fixture
def recipe() -> RunRecipe:
    return make_run_recipe("pong", "ppo_abn_paper", 3, ["train.steps=100"])


@pytest.fixture
def run(tmp_path: Path, recipe: RunRecipe) -> Run:
    return Run.create(tmp_path / "run", recipe, "cpu")


def status(run: Run) -> tuple[str, int | None]:
    meta = read_json(run.path / META)
    return meta["status"], meta.get("steps")


@pytest.mark.parametrize(("done", "ended"), [(40, "interrupted"), (100, "finished")])
def test_the_status_says_whether_the_whole_length_is_trained(
    run: Run, done: int, ended: str
) -> None:
    steps = 0
    with training_session(run, unit="steps", length=100, done=lambda: steps, ranks=2) as stop:
        assert status(run) == ("running", None)
        assert read_json(run.path / META)["ranks"] == 2
        steps = done
    assert stop.received is None
    assert status(run) == (ended, done)


def test_what_fails_at_the_end_is_not_finished(run: Run) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        training_session(run, unit="steps", length=100, done=lambda: 100),
    ):
        raise ZeroDivisionError
    assert status(run) == ("interrupted", 100)


def test_a_full_disk_is_one_line_that_says_how_to_go_on(run: Run) -> None:
    def train() -> None:
        with training_session(run, unit="steps", length=100, done=lambda: 40):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert complaint(train) == (
        f"{run.path}: cannot be written: No space left on device; what was saved before is "
        "whole, and --on-exists resume goes on from there"
    )
    assert status(run) == ("interrupted", 40)


def test_wall_time_adds_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 20.0, 24.0])
    monkeypatch.setattr("rl_abn.runs.training_session.time.monotonic", lambda: next(clock))
    for _ in range(2):
        with training_session(run, unit="steps", length=100, done=lambda: 1):
            pass
    assert run.wall_time_s == 6.5


@pytest.mark.parametrize("writes", [True, False])
def test_a_signal_is_remembered_inside_alone(run: Run, writes: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    whole = (run.path / META).read_bytes()
    with training_session(run, unit="steps", length=100, done=lambda: 7, writes=writes) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == before
    if writes:
        assert status(run) == ("interrupted", 7)
    else:
        assert (run.path / META).read_bytes() == whole


@pytest.mark.parametrize("on_exists", [None, "new", "overwrite"])
def test_a_run_goes_on_only_where_that_is_asked_for(
    run: Run, recipe: RunRecipe, on_exists: OnExists | None
) -> None:
    assert run_to_resume(run.path, recipe, (), "cpu", on_exists) is None
    assert run_to_resume(run.path.with_name("other"), recipe, (), "cpu", "resume") is None


def test_what_changes_no_byte_may_change(run: Run, recipe: RunRecipe) -> None:
    settings = ("train.steps=200", "train.keep=2", "train.eval_every=100")
    found = run_to_resume(run.path, recipe, settings, "cpu", "resume")
    assert found is not None
    train = found.recipe.agent.train
    assert (train.steps, train.keep, train.eval_every) == (200, 2, 100)
    assert Run.open(run.path).recipe == found.recipe
    wrong = ("train.checkpoint_every=64",)
    assert complaint(lambda: run_to_resume(run.path, recipe, wrong, "cpu", "resume")) == (
        f"{run.path}: expected the run's own settings to resume it, got others "
        "(train.checkpoint_every=64); only train.steps, train.keep, "
        "train.checkpoint_every_minutes, train.eval_every, train.eval_games and "
        "train.record_every may change, or use --on-exists new"
    )


def save(run: Run, step: int) -> None:
    run.save_checkpoint(step, {"w": zeros(2)}, {}, {})


def test_a_run_does_not_go_on_to_fewer_steps_than_are_trained(run: Run, recipe: RunRecipe) -> None:
    save(run, 64)
    before = (run.path / RECIPE).read_bytes()
    wrong = ("train.steps=63",)
    assert complaint(lambda: run_to_resume(run.path, recipe, wrong, "cpu", "resume")) == (
        f"{run.path}: expected train.steps from 64, as so many are trained, got 63; "
        "use --on-exists new"
    )
    assert (run.path / RECIPE).read_bytes() == before
    found = run_to_resume(run.path, recipe, ("train.steps=64",), "cpu", "resume")
    assert found is not None
    assert found.recipe.agent.train.steps == 64


def test_a_last_rollout_beyond_the_last_step_is_no_longer_training(
    run: Run, recipe: RunRecipe
) -> None:
    save(run, 128)  # of 100: rollouts are whole
    for settings in ((), ("train.steps=100",)):
        assert run_to_resume(run.path, recipe, settings, "cpu", "resume") is not None


def test_steps_between_checkpoints_are_the_same_in_either_way_to_say_it(tmp_path: Path) -> None:
    old, new = ("train.checkpoint_every=64",), ("train.checkpoint_every_game_steps=8",)
    recipe = make_run_recipe("pong", "ppo_abn_paper", 3, old)
    run = Run.create(tmp_path / "run", recipe, "cpu")
    for settings in (old, new, ()):
        asked = make_run_recipe("pong", "ppo_abn_paper", 3, settings)
        found = run_to_resume(run.path, asked, settings, "cpu", "resume")
        assert found is not None
        assert found.recipe == recipe


def test_a_taken_folder_is_refused_where_nothing_was_said(run: Run, tmp_path: Path) -> None:
    assert complaint(lambda: check_free(run.path, None, "new or overwrite")) == (
        f"expected a new run folder, got '{run.path}', which exists; add --on-exists "
        "new or overwrite"
    )
    check_free(run.path, "new")
    check_free(tmp_path / "other", None)


def test_the_last_numbers_are_those_of_the_last_row(run: Run) -> None:
    metrics = MetricsFile(run.path)
    assert metrics.last_numbers == {}
    metrics.add({"b": 1, "a": 2.5}, 32)
    metrics.add({"b": 3}, 64)
    metrics.close()
    assert metrics.last_step == 64
    assert metrics.last_numbers["b"] == 3.0
    assert "a" not in metrics.last_numbers


def test_maps_of_later_steps_go_and_a_damaged_log_is_made_anew(run: Run) -> None:
    def damaged() -> MapLog:
        raise RlAbnError("damaged")

    log = MapLog(run.path, 2)
    for step in (0, 32, 64):
        log.keep(zeros(2, 1, 3, 3), step)
    made = MapLog(run.path, 2)
    assert open_or_create(lambda: log, lambda: made, resume=True, step=32) is log
    assert log.steps == [0, 32]
    assert open_or_create(damaged, lambda: made, resume=True, step=0) is made
    assert made.steps == [0]
    assert open_or_create(lambda: log, lambda: made, resume=False, step=0) is made
