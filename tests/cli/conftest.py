from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rl_abn.cli import main
from rl_abn.recipes import make_run_recipe
from rl_abn.runs import Run


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of every command: empty, and nobody else's."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "100")
    return place


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


@pytest.fixture
def rl_abn(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command line in this process."""

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(bool(exit_.code))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def mistake(rl_abn: Callable[..., Result]) -> Callable[..., str]:
    """Runs a command line that has to be refused; returns what it said after "error: "."""

    def run(*words: str) -> str:
        result = rl_abn(*words)
        assert result.code == 2
        assert result.out == ""
        assert result.err.endswith("\n")
        lines = result.err.splitlines()
        assert len(lines) == 1, result.err
        assert lines[0].startswith("rl-abn: error: ")
        assert "Traceback" not in result.err
        return lines[0].removeprefix("rl-abn: error: ")

    return run


@pytest.fixture
def run(folder: Path) -> Run:
    """A run of pong that has no checkpoint yet, in the default place."""
    settings = ["train.steps=2048"]
    recipe = make_run_recipe("pong", "ppo_abn_paper", 0, settings)
    return Run.create(Path("runs", "pong", "ppo_abn_paper", "seed-0"), recipe, "cpu")
