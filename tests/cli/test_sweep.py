"""`rl-abn sweep`, from the command line."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.runs import Run
from rl_abn.sweep.engines import engine as engines
from rl_abn.sweep.plan import make_plan

Command = Callable[..., Any]

TEXT = """
games = ["pong"]
agents = ["ppo_cnn"]
seeds = 2
steps = 2048

[arms]
plain = []
greedy = ["algorithm.ent_coef=0.0"]
"""


@pytest.fixture
def file(folder: Path) -> str:
    (folder / "few.toml").write_text(TEXT)
    return "few.toml"


def test_a_dry_run_lists_and_trains_nothing(rl_abn: Command, file: str) -> None:
    code, out, _ = rl_abn("sweep", file, "--dry-run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "with train.steps=2048"
    assert re.fullmatch(r"  pong/ppo_cnn-plain-[0-9a-f]{8}/seed-0: 2,048 steps", lines[1])
    assert lines[2] == "with algorithm.ent_coef=0.0 train.steps=2048"
    assert lines[-1] == "4 trainings, 8,192 steps in all, in sweeps/few"
    assert not Path("sweeps").exists()


def finish(plan: Any, n_units: int) -> None:
    for unit in plan.units[:n_units]:
        run = Run.create(plan.out / unit.name, unit.recipe(), "cpu")
        run.update_meta(status="finished", steps=unit.steps)


def test_a_sweep_that_is_done_says_what_to_type_next(rl_abn: Command, file: str) -> None:
    finish(make_plan(Path(file)), 4)
    code, out, _ = rl_abn("sweep", file)
    assert code == 0
    assert out.splitlines() == [
        "sweep folder: sweeps/few",
        "4 of 4 done",
        "next: rl-abn sweep --report sweeps/few",
    ]


@pytest.mark.parametrize("what", ["few.toml", "sweeps/few"])
def test_a_report_of_a_file_or_of_its_folder(rl_abn: Command, file: str, what: str) -> None:
    plan = make_plan(Path(file))
    plan.write()
    finish(plan, 3)
    code, out, err = rl_abn("sweep", "--report", what)
    assert code == 0, err
    assert "few: 3 of 4 trainings; the sweep is unfinished" in out
    assert "1 of 2, single run" in out
    assert json.loads(Path("sweeps/few/report/report.json").read_text())["trained"] == 3


def test_a_failed_unit_is_listed_and_the_exit_code_says_so(
    rl_abn: Command, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rl_abn.sweep.drive import Outcome

    outcome = Outcome(("a",), {"pong/b": "the loss became NaN"}, (), None, goes_on=False)
    monkeypatch.setattr("rl_abn.sweep.drive.drive", lambda *arguments: outcome)
    code, out, _ = rl_abn("sweep", file)
    assert code == 1
    assert "failed: sweeps/few/pong/b: the loss became NaN" in out
    assert "try again what is left: rl-abn sweep few.toml" in out


def test_when_the_time_is_up_the_exit_code_says_that_there_is_more(
    rl_abn: Command, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rl_abn.sweep.drive import Outcome

    given: list[float] = []

    def drive(plan: Any, make: Any, board: Any, seconds: float) -> Outcome:
        given.append(seconds)
        return Outcome(("a",), {}, ("b", "c"), None, goes_on=False, time_up=True)

    monkeypatch.setattr("rl_abn.sweep.drive.drive", drive)
    code, out, _ = rl_abn("sweep", file, "--minutes", "9")
    assert code == 75
    assert given == [540]
    assert out.splitlines()[2:] == [
        "2 left; the time is up and what was trained is saved. Go on with:",
        "rl-abn sweep few.toml --minutes 9",
    ]


def test_a_missing_engine_says_what_to_install(
    mistake: Command, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert mistake("sweep", file, "--engine", "ray") == (
        "expected ray for --engine ray, which is not installed: pip install 'rl-abn[ray]'"
    )
    assert mistake("sweep", file, "--engine", "slurm").endswith("pip install 'rl-abn[slurm]'")
    assert mistake("sweep", file, "--engine", "slrum") == (
        "argument --engine: unknown choice 'slrum': did you mean 'slurm'?; see rl-abn sweep --help"
    )


@pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="submitit is not installed"
)
def test_slurm_without_slurm(rl_abn: Command, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, _, err = rl_abn("sweep", file, "--engine", "slurm")
    assert code == 2
    assert "expected SLURM's sbatch on this machine, got none" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.toml",), "missing.toml: cannot be read: No such file or directory"),
        (("--report", "missing"), "missing: cannot be read: No such file or directory"),
        (("--report", "."), "expected a sweep's file or folder, got '.' without sweep.json"),
        (("--report", "few.toml"), "sweeps/few: expected trainings to report on, got none yet"),
        (("few.toml", "--workers", "0"), "expected a whole number from 1, got '0'"),
        (("few.toml", "--minutes", "0"), "expected a number above 0, got '0'"),
    ],
)
@pytest.mark.usefixtures("file")
def test_mistakes(mistake: Command, words: tuple[str, ...], message: str) -> None:
    assert message in mistake("sweep", *words)
