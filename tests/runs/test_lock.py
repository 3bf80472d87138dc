"""A run folder belongs to one process at a time; what is left of a dead one holds nobody up."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.runs import META, Run, free_folder, read_json
from rl_abn.runs import lock as lock_module
from rl_abn.runs.holding import held, hold, let_go
from rl_abn.runs.lock import LOCK, STALE_AFTER_S, Holder, RunLock, holder_of
from rl_abn.runs.resume import run_to_resume
from tests.complaints import complaint

HOLD = """
import sys, time
from pathlib import Path
from rl_abn.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def recipe() -> RunRecipe:
    return make_run_recipe("pong", "ppo_abn_paper", 3, ["train.steps=100"])


@pytest.fixture
def run(tmp_path: Path, recipe: RunRecipe) -> Run:
    return Run.create(tmp_path / "run", recipe, "cpu")


@pytest.fixture
def other(run: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process, which trains the run."""
    command = [sys.executable, "-c", HOLD, str(run.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def without_flock(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    patch.setattr(fcntl, "flock", fail)


def leave(run: Run, age_s: float = 0.0, **changes: Any) -> None:
    """Leaves the lock of another process in a run folder."""
    path = run.path / LOCK
    path.write_text(json.dumps({**Holder.here()._asdict(), **changes}))
    os.utime(path, (time.time() - age_s,) * 2)


@pytest.mark.more
def test_a_second_training_is_told_who_has_the_run(
    run: Run, recipe: RunRecipe, other: subprocess.Popen[str]
) -> None:
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    for second in (
        lambda: run_to_resume(run.path, recipe, (), "cpu", "resume"),
        lambda: free_folder(run.path, "overwrite"),
        lambda: hold(run.path),
    ):
        message = complaint(second)
        assert message.startswith(
            f"{run.path}: expected a run that nobody trains or edits now, got one that process "
            f"{other.pid} on "
        )
        assert message.endswith(" has; wait for it or stop it")
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before
    assert Run.open(run.path).status == "running"
    assert free_folder(run.path, "new") == run.path.with_name("run-2")


@pytest.mark.more
@pytest.mark.parametrize("has_flock", [True, False])
def test_the_lock_of_a_killed_training_holds_nobody_up(
    run: Run,
    recipe: RunRecipe,
    other: subprocess.Popen[str],
    has_flock: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_flock:
        without_flock(monkeypatch)
        assert f"process {other.pid} on" in complaint(lambda: hold(run.path))
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder_of(run.path) is None
    assert Run.open(run.path).status == "killed"
    Run.open(run.path).mend_status()
    assert read_json(run.path / META)["status"] == "killed"
    assert run_to_resume(run.path, recipe, (), "cpu", "resume") is not None
    let_go(run.path)


def test_another_process_with_the_same_number_is_not_the_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_flock(monkeypatch)
    leave(run)
    assert "expected a run that nobody trains" in complaint(lambda: RunLock(run.path))
    leave(run, started=1)
    RunLock(run.path).release()
    leave(run, boot="before a restart")
    RunLock(run.path).release()


def test_a_lock_of_another_host_holds_as_long_as_it_is_touched(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(run, 40, host="far away", boot="another", pid=7, since="noon")
    assert complaint(lambda: RunLock(run.path)) == (
        f"{run.path}: expected a run that nobody trains or edits now, got one that process 7 on "
        "far away since noon has (last sign 40 s ago); if it has ended, try again 3 minutes after "
        f"that, or remove {run.path / LOCK}"
    )
    assert Run.open(run.path).status == "running"
    leave(run, STALE_AFTER_S + 1, host="far away", boot="another", pid=7, since="noon")
    assert Run.open(run.path).status == "killed"
    RunLock(run.path).release()
    assert capsys.readouterr().err == (
        f"rl-abn: warning: {run.path}: taken over from process 7 on far away since noon, which "
        "gave no sign for 181 s\n"
    )
    assert sorted(path.name for path in run.path.iterdir()) == [META, "recipe.toml"]


def test_a_lock_is_touched_while_it_is_held(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "TOUCH_EVERY_S", 0.001)
    lock = RunLock(run.path)
    path = run.path / LOCK
    os.utime(path, (0, 0))
    until = time.monotonic() + 10
    while path.stat().st_mtime < 1 and time.monotonic() < until:
        pass
    assert path.stat().st_mtime > 1
    lock.release()
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 3}', b"\xff" * 9000])
def test_a_damaged_lock_of_nobody_is_taken(run: Run, content: bytes) -> None:
    (run.path / LOCK).write_bytes(content)
    assert holder_of(run.path) is None
    RunLock(run.path).release()


def test_what_is_held_is_given_free_and_its_status_mended(run: Run) -> None:
    with held(run.path):
        hold(run.path)  # again is no mistake
        holder = holder_of(run.path)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert Run.open(run.path).status == "running"
    assert holder_of(run.path) is None
    assert read_json(run.path / META)["status"] == "interrupted"
    with held(run.path, writes=False):  # another rank
        assert holder_of(run.path) is None


def test_a_refused_resume_gives_the_run_free(run: Run, recipe: RunRecipe) -> None:
    wrong = ("algorithm.gamma=0.5",)
    complaint(lambda: run_to_resume(run.path, recipe, wrong, "cpu", "resume"))
    assert holder_of(run.path) is None


def test_a_folder_that_cannot_be_written_is_found_at_once(
    run: Run, recipe: RunRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "pwrite", fail)
    assert complaint(lambda: run_to_resume(run.path, recipe, (), "cpu", "resume")) == (
        f"{run.path}: cannot be written: Read-only file system"
    )
