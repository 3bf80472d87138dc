"""A closed or full output costs no work, and a signal at any moment is one line."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.cli import main
from rl_abn.cli.safe_output import SafeStream
from rl_abn.errors import RlAbnError
from rl_abn.runs import Run

TRAIN = [
    *(sys.executable, "-m", "rl_abn", "train", "--env", "pong", "--agent", "ppo_abn_paper"),
    *("--device", "cpu", "--steps", "32", "--out", "run", "--set", "algorithm.n_envs=1"),
    *("--set", "algorithm.n_steps=16", "--set", "algorithm.batch_size=16"),
    *("--set", "algorithm.n_epochs=1", "--set", "train.log_every=16"),
    *("--set", "train.n_probes=0", "--set", "train.checkpoint_every=16"),
]


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.more
def test_a_training_whose_reader_has_left_goes_on_to_its_end(folder: Path) -> None:
    pipe = closed_pipe()
    result = subprocess.run(TRAIN, stdout=pipe, stderr=pipe, check=False)
    os.close(pipe)
    assert result.returncode == 0
    assert [checkpoint.step for checkpoint in Run.open(Path("run")).checkpoints] == [16, 32]
    assert Run.open(Path("run")).status == "finished"


@pytest.mark.more
def test_a_training_with_nowhere_to_print_goes_on_to_its_end(folder: Path) -> None:
    words = " ".join(f"'{word}'" for word in TRAIN)
    result = subprocess.run(f"{words} >&- 2>&-", shell=True, check=False)
    assert result.returncode == 0
    assert Run.open(Path("run")).checkpoint().step == 32


@pytest.mark.parametrize("command", ["--help", pytest.param("recipes", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    ("redirected", "code", "errors"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (
            "> /dev/full",
            1,
            "rl-abn: standard output cannot be written: No space left on device\n",
        ),
        ("> /dev/full 2> /dev/full", 1, ""),
        ("| true", 0, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line_at_most(
    redirected: str, code: int, errors: str, command: str
) -> None:
    script = f"set -o pipefail; '{sys.executable}' -m rl_abn {command} {redirected}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (code, errors)


class Failing:
    """A stream that raises, and has no file behind it."""

    def __init__(self, number: int) -> None:
        self.error = OSError(number, os.strerror(number))
        self.written = 0

    def write(self, text: str) -> int:
        self.written += 1
        raise self.error

    def flush(self) -> None:
        raise self.error

    def fileno(self) -> int:
        raise ValueError


@pytest.mark.parametrize(
    ("number", "lost"),
    [(errno.EPIPE, None), (errno.EIO, None), (errno.ENOSPC, "No space left on device")],
)
def test_after_a_failure_nothing_is_tried_again(number: int, lost: str | None) -> None:
    failing = Failing(number)
    stream = SafeStream(failing)  # type: ignore[arg-type]
    stream.writelines(["a", "b"])
    stream.flush()
    assert (failing.written, stream.lost) == (1, lost)


def test_what_an_encoding_lacks_is_written_as_escapes() -> None:
    file = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(file, encoding="latin-1"))
    stream.write("é → …\n")
    stream.flush()
    assert file.getvalue() == b"\xe9 \\u2192 \\u2026\n"


# What was computed is kept before it is printed


def test_an_evaluation_is_kept_though_printing_it_fails(
    monkeypatch: pytest.MonkeyPatch, rl_abn: Callable[..., Any]
) -> None:
    from tests.cli.test_eval import untrained

    def fail(*_: object) -> None:
        raise RlAbnError("nobody reads")

    run = untrained("ppo_abn_paper")
    monkeypatch.setattr("rl_abn.cli.tables.evaluation_table", fail)
    words = ("--episodes", "1", "--max-steps", "4", "--device", "cpu", "--json", "a.json")
    assert rl_abn("eval", str(run.path), *words).code == 2
    assert len(list(run.path.glob("evaluations/*.json"))) == 1
    assert Path("a.json").is_file()


# Signals


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "rl-abn: interrupted\n"),
        (signal.SIGTERM, 143, "rl-abn: ended by SIGTERM\n"),
        (signal.SIGHUP, 129, "rl-abn: ended by SIGHUP\n"),
    ],
)
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_ends_a_command_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    rl_abn: Callable[..., Any],
    number: int,
    code: int,
    line: str,
    swallowed: bool,
) -> None:
    def run(words: object) -> None:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if swallowed:  # as some extension modules do while they are imported
                raise ImportError("numpy failed to import") from None
            raise

    # A shell's background jobs are started with SIGINT ignored; the tests may be one.
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)
    monkeypatch.setattr("rl_abn.cli.commands.run_command", run)
    try:
        assert rl_abn("recipes") == (code, "", line)
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored(
    monkeypatch: pytest.MonkeyPatch, rl_abn: Callable[..., Any]
) -> None:
    def run(words: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr("rl_abn.cli.commands.run_command", run)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert rl_abn("recipes").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rl_abn.cli.commands.run_command", run)
    with pytest.raises(ZeroDivisionError):
        main(["recipes"])


def test_ctrl_c_while_importing_is_one_line() -> None:
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "rl_abn.cli.parser":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from rl_abn.cli import main
main(["recipes"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "rl-abn: interrupted\n")


def test_the_entry_point_imports_nothing_large() -> None:
    code = "import sys, rl_abn.cli; print({'numpy', 'torch', 'rich', 'pydantic'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n"
