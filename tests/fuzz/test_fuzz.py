"""Malformed inputs, a hundred with --all; and that the runner sees what goes wrong."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import runner
from tests.fuzz.damage import damage_folder
from tests.fuzz.grammar import KINDS, Case, make_case

ROOT = Path(__file__).parents[2]


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *words]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.full  # half a minute before the first case: runs of both tracks are trained
def test_malformed_inputs_get_one_line_each() -> None:
    n = 100
    done = fuzz(str(n), "0")
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.splitlines()
    assert re.fullmatch(rf"all +{n} +\d+ +\d+", table[-2])
    assert "failures: none" in table[-1]
    counts = [line.split()[-3:] for line in table[1:-2]]
    assert [int(count[0]) for count in counts] == [n // len(KINDS)] * len(KINDS)


def test_a_case_is_the_same_again() -> None:
    for i in range(40):
        one, two = make_case(3, i), make_case(3, i)
        assert (one.kind, one.words, one.done) == (two.kind, two.words, two.done)
        assert one.kind == KINDS[i % 4]
    assert make_case(3, 0).words != make_case(4, 0).words


def test_damage_is_the_same_again_and_is_damage(tmp_path: Path) -> None:
    left = []
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "in").mkdir(parents=True)
        for i in range(4):
            (folder / "in" / f"{i}.json").write_text(f'{{"a": {i}}}')
        for seed in range(5):
            damage_folder(random.Random(seed), folder)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        left.append([(path.name, path.read_bytes()) for path in files])
    assert left[0] == left[1]
    assert dict(left[0]) != {f"{i}.json": b'{"a": %d}' % i for i in range(4)}


@pytest.mark.parametrize(
    ("what", "code", "out", "err", "why"),
    [
        ("a traceback", 1, "", "Traceback (most recent call last):\nKeyError: 1", "traceback: Key"),
        ("too long", None, "", "", "hang"),
        ("an interruption", 130, "", "", "exit code: 130"),
        ("two lines", 2, "", "rl-abn: error: a\nb\n", "not one line: 2"),
        ("none", 2, "", "", "not one line: 0"),
        ("a warning first", 2, "", "rl-abn: warning: a\nrl-abn: error: b\n", None),
        ("work begun", 2, "", "training a: 1/2 steps  ETA 0:00:01\nrl-abn: error: b\n", None),
        ("well", 0, "", "", None),
    ],
)
def test_what_is_wrong_is_seen(
    tmp_path: Path, what: str, code: int | None, out: str, err: str, why: str | None
) -> None:
    case = Case("file", ["eval", "agent"])
    found = runner._wrong(case, code, out, err, set(), tmp_path)
    assert found is None if why is None else str(found).startswith(why)


def test_a_lost_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "agent" / "weights"
    file.parent.mkdir()
    file.write_text("weights")
    before = runner._contents(tmp_path)
    file.rename(file.with_name("weights.damaged"))
    case = Case("file", ["eval", "agent"])
    assert runner._wrong(case, 0, "", "", before, tmp_path) is None
    file.with_name("weights.damaged").unlink()
    assert runner._wrong(case, 0, "", "", before, tmp_path) == "lost: 1 files"


def test_a_hang_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LIMIT_S", 0.3)
    monkeypatch.setattr(runner, "_exit_code", lambda words: os.read(os.pipe()[0], 1))
    (tmp_path / "case").mkdir()
    assert runner.run_forked(["eval"], tmp_path / "case") is None


@pytest.mark.more
def test_its_help() -> None:
    done = fuzz("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: scripts/fuzz")
