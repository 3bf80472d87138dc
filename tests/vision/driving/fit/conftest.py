"""A car that needs no Box2D, and an explanation of few pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from rl_abn.cli import main
from rl_abn.explain.certificate import Certificate, Line
from rl_abn.explain.methods import Effort
from rl_abn.explain.report import Block, Explanation
from rl_abn.explain.study import Thoroughness
from rl_abn.explain.written import Written, write_explanation
from rl_abn.vision.driving.carracing import simulator as simulator_module
from rl_abn.vision.evaluation import explanation_extent
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from rl_abn.vision.training.build import VisionRun
from tests.vision.driving.carracing.conftest import CircleCar

TINY = VisionExtent(
    6, ("uniform", "swap"), Thoroughness(("blur",), 2, 8, Effort(2, 2, 8), 4, 1, 2), quick=True
)


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is not how sure the numbers are."""
    monkeypatch.setattr(explanation_extent, "QUICK_EXTENT", TINY)
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """An explanation that costs nothing, for tests of what is around it."""

    def explain(run: VisionRun, *_: object, **more: object) -> Written:
        line = Line("used", "unclear", "It was not looked at.")
        asked = {"studied map": "map"}
        sections = [("Is it used?", list[Block]())]
        certificate = Certificate((line,))
        made = Explanation("", "", certificate, sections, asked, [], [], {})
        return write_explanation(run.path / "explanations" / "made", made)

    monkeypatch.setattr("rl_abn.vision.evaluation.explanation.explain_network", explain)


@pytest.fixture
def car(monkeypatch: pytest.MonkeyPatch) -> CircleCar:
    car = CircleCar()
    for module in ("simulator", "recording", "drive"):
        name = f"rl_abn.vision.driving.carracing.{module}.Simulator"
        monkeypatch.setattr(name, lambda: car)
    monkeypatch.setattr("rl_abn.vision.driving.fit.drives.Simulator", lambda: car)
    assert simulator_module.Simulator() is car  # type: ignore[comparison-overlap]
    return car


@pytest.fixture
def vision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs a command of the vision track in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = 0
        try:
            main(["vision", *map(str, words)])
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def fit(vision: Callable[..., Result]) -> Callable[..., Result]:
    """Runs `rl-abn vision fit` there."""
    return partial(vision, "fit", "--device", "cpu")
