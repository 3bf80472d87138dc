"""Agents that ship with the package: found by name, copied before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_abn.runs import META, RECIPE, Run, shipped, write_json
from tests.complaints import complaint
from tests.rl.evaluation.recorded import make_run

NAME = "space_invaders/ppo_abn_paper"


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one shipped agent, which nobody may write to; the working folder is another."""
    place = tmp_path / "agents"
    run = make_run(place / NAME)
    (run.path / shipped.CARD).write_text("# Title\n\nWhat it is.\n")
    monkeypatch.setattr(shipped, "AGENTS", place)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return place


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_name_is_a_run_to_read_and_a_copy_to_write(agents: Path) -> None:
    assert shipped.list_shipped() == [NAME]
    assert shipped.summary_of(NAME) == "What it is."
    assert shipped.find_run(NAME) == agents / NAME
    copy = shipped.own_run(Path(NAME))
    assert copy == Path("runs", NAME, "shipped")
    assert contents(copy) == contents(agents / NAME)
    assert Run.open(copy).checkpoint().step == 64


def test_a_copy_is_used_again_with_what_was_added(agents: Path) -> None:
    copy = shipped.own_run(Path(NAME))
    (copy / "evaluations").mkdir()
    (copy / "evaluations" / "a.json").write_text("{}")
    assert shipped.own_run(Path(NAME)) == copy
    assert [path.name for path in copy.parent.iterdir()] == ["shipped"]


def test_another_version_of_the_agent_gets_another_copy(agents: Path) -> None:
    first = shipped.own_run(Path(NAME))
    write_json(agents / NAME / META, {"status": "imported", "started": "later"})
    second = shipped.own_run(Path(NAME))
    assert second == first.with_name("shipped-2")
    assert shipped.own_run(Path(NAME)) == second


def test_a_folder_of_that_path_that_is_no_run_does_not_hide_it(agents: Path) -> None:
    (Path(NAME) / "explanations").mkdir(parents=True)
    assert shipped.find_run(NAME) == agents / NAME


def test_a_run_of_that_path_goes_first(agents: Path) -> None:
    mine = make_run(Path(NAME))
    assert shipped.find_run(NAME) == mine.path
    assert shipped.own_run(Path(NAME)) == mine.path
    assert not Path("runs").exists()


def test_a_misspelt_name_is_told_the_nearest(agents: Path) -> None:
    said = complaint(lambda: shipped.own_run(Path("space_invaders/ppo_abn_papre")))
    assert f"did you mean '{NAME}'?" in said


def test_a_copy_that_cannot_be_written_is_a_line_and_leaves_nothing(agents: Path) -> None:
    Path("runs").write_text("a file in its way")
    assert "cannot be written" in complaint(lambda: shipped.own_run(Path(NAME)))
    assert sorted(Path().iterdir()) == [Path("runs")]


def test_the_recipe_is_what_makes_a_folder_an_agent(agents: Path) -> None:
    (agents / NAME / RECIPE).unlink()
    assert shipped.list_shipped() == []
