"""What is found and served, and what is not."""

from __future__ import annotations

import json
import shutil

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.runs import shipped
from rl_abn.view import library as library_module
from rl_abn.view.library import Library, UnknownIdError, folders_or_default
from rl_abn.view.library_page import library_page
from tests.record.played import play
from tests.rl.evaluation.recorded import make_run


@pytest.fixture
def top(tmp_path):
    make_run(tmp_path / "runs" / "game" / "agent" / "seed-0")
    play(tmp_path / "runs" / "game" / "agent" / "seed-0" / "episodes" / "first", 3)
    play(tmp_path / "runs" / "alone", 4)
    return tmp_path / "runs"


def test_runs_and_episodes_are_found_below_a_folder(top):
    page = library_page(Library([top]))
    (run,) = page["runs"]
    assert (run["env"], run["agent"], run["algorithm"]) == (
        "space_invaders",
        "ppo_abn_paper",
        "ppo",
    )
    assert run["checkpoints"] == [64]
    assert run["step"] == 64
    of_run = {episode["name"]: episode["run"] for episode in page["episodes"]}
    assert of_run == {"first": run["id"], "alone": None}
    assert run["episodes"] == [e["id"] for e in page["episodes"] if e["name"] == "first"]
    assert {episode["n_steps"] for episode in page["episodes"]} == {3, 4}


@pytest.mark.parametrize("named", ["game/agent/seed-0", "game/agent/seed-0/episodes/first"])
def test_a_run_or_an_episode_may_be_named_itself(top, named):
    library = Library([top / named])
    assert [found.path.name for found in library.episodes.values()] == ["first"]
    assert len(library.runs) == ("episodes" not in named)


def test_ids_are_no_paths_and_stay_the_same(top):
    library = Library([top])
    ids = {*library.runs, *library.episodes}
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in ids)
    assert ids == {*Library([top]).runs, *Library([top]).episodes}


def test_an_episode_that_is_new_is_found_and_one_that_is_gone_is_not(top, monkeypatch):
    monkeypatch.setattr(library_module, "LOOK_EVERY_S", 0.0)
    library = Library([top])
    new = play(top / "new", 2)
    name = library_module._id(new.resolve())
    assert library.episode(name).path == new.resolve()
    shutil.rmtree(new)
    library.refresh()
    with pytest.raises(UnknownIdError):
        library.episode(name)


def test_an_added_episode_is_served_and_not_counted_among_its_runs(top, tmp_path):
    library = Library([top])
    (run,) = library.runs
    before = library.episodes_of(run)
    library.admit(tmp_path / "futures")
    name = library.add_episode(play(tmp_path / "futures" / "one", 2), run)
    assert library.episode(name).run == run
    assert library.episodes_of(run) == before
    assert library_page(library)["runs"][0]["episodes"] == before


def test_wrong_ids_do_not_make_it_look_again_and_again(top, monkeypatch):
    library = Library([top])
    monkeypatch.setattr(library, "refresh", lambda: pytest.fail("looked again"))
    with pytest.raises(UnknownIdError):
        library.episode("0" * 16)


def test_a_link_that_leads_outside_brings_nothing_in(top, tmp_path):
    secret = play(tmp_path / "secret" / "episode", 2)
    (top / "link").symlink_to(secret)
    (top / "folder").symlink_to(secret.parent)
    (top / "inside").symlink_to(top / "alone")
    found = {found.path.name for found in Library([top]).episodes.values()}
    assert found == {"first", "alone"}


def test_what_cannot_be_read_is_left_out(top):
    (top / "alone" / "meta.json").write_text('{"format": "rl-abn episode"}')
    (top / "game" / "agent" / "seed-0" / "recipe.toml").write_text("agent = [")
    page = library_page(Library([top]))
    assert page["runs"] == []
    assert [(e["name"], e["run"]) for e in page["episodes"]] == [("first", None)]


def test_a_cut_off_episode_says_so(top):
    play(top / "cut", 5, whole=False)
    cut = {e["name"]: e for e in library_page(Library([top]))["episodes"]}["cut"]
    assert cut["status"] == "cut"
    assert "stopped" in cut["cut"]
    assert cut["n_steps"] == 5


def test_what_is_no_folder_is_a_line(tmp_path):
    with pytest.raises(RlAbnError, match=r"expected a run, an ep.* got '.*nowhere' \(nothing"):
        Library([tmp_path / "nowhere"])


def test_without_a_folder_runs_of_this_one_are_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "AGENTS", tmp_path / "shipped")
    with pytest.raises(RlAbnError, match="expected runs/ in this folder, got none; train"):
        folders_or_default([])
    (tmp_path / "runs").mkdir()
    (tmp_path / "shipped").mkdir()
    assert [folder.name for folder in folders_or_default([])] == ["runs", "shipped"]


def test_names_that_are_no_text_are_shown(top):
    meta = json.loads((top / "alone" / "meta.json").read_text())
    meta["source"] = {"agent": {"name": float("nan"), "step": "\ud800"}}
    (top / "alone" / "meta.json").write_text(json.dumps(meta))
    from rl_abn.view.app import answer

    assert b"alone" in answer(library_page(Library([top]))).body
