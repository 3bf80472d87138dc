"""Where recipes are found, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.errors import MOST_NAMED
from rl_abn.recipes import list_recipes, load_agent, load_env, lookup, recipe_path

Complaint = Callable[[Callable[[], object]], str]
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["agents", "envs"])
def test_a_checkout_lists_the_files_beside_the_package(kind: Any) -> None:
    files = sorted((CHECKOUT / kind).glob("*.toml"))
    assert list_recipes(kind) == [file.stem for file in files]
    assert [recipe_path(kind, file.stem) for file in files] == files


def test_an_installed_package_looks_inside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "rl_abn" / "_recipes" / "agents"
    inside.mkdir(parents=True)
    (inside / "mine.toml").write_text((CHECKOUT / "agents" / "ppo_abn.toml").read_text("utf-8"))
    # Another package's top-level `agents` in the same site-packages.
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "theirs.toml").touch()
    monkeypatch.setattr(lookup, "PACKAGE", tmp_path / "rl_abn")
    assert list_recipes("agents") == ["mine"]
    assert recipe_path("agents", "mine") == inside / "mine.toml"
    assert list_recipes("envs") == []


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = recipe_path("agents", "a2c_cnn").read_text("utf-8")
    for place in ("mine.toml", "sub/ppo_abn.toml", "sub/no_suffix"):
        file = Path(place)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
        assert recipe_path("agents", place) == file
        assert load_agent(place) == load_agent("a2c_cnn")


def test_a_name_means_the_shipped_recipe_even_beside_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ppo_abn").write_text("nothing")
    assert recipe_path("agents", "ppo_abn") == CHECKOUT / "agents" / "ppo_abn.toml"


@pytest.mark.parametrize(
    ("load", "kind", "name", "nearest"),
    [
        (load_agent, "agent", "ppo_ab", "ppo_abn"),
        (load_agent, "agent", "ppo-abn", "ppo_abn"),
        (load_agent, "agent", "a2c_msk", "a2c_mask"),
        (load_env, "env", "space_invader", "space_invaders"),
        (load_env, "env", "mspacman", "ms_pacman"),
        (load_env, "env", "beamrider", "beam_rider"),
        (load_env, "env", "pongo", "pong"),
    ],
)
def test_an_unknown_name_gets_the_nearest(
    complaint: Complaint, load: Callable[[str], object], kind: str, name: str, nearest: str
) -> None:
    assert complaint(lambda: load(name)) == f"unknown {kind} '{name}': did you mean '{nearest}'?"


def test_a_name_like_no_other_gets_the_first_of_them(complaint: Complaint) -> None:
    names = list_recipes("agents")
    assert complaint(lambda: load_agent("zzz")) == (
        f"unknown agent 'zzz': choose one of: {', '.join(names[:MOST_NAMED])} "
        f"and {len(names) - MOST_NAMED} more"
    )
    envs = ", ".join(list_recipes("envs"))
    assert f"choose one of: {envs}," in complaint(lambda: load_env("zzz"))


@pytest.mark.parametrize("name", ["missing.toml", "missing/recipe", "folder.toml", "./folder.toml"])
def test_no_file_there(
    complaint: Complaint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.toml").mkdir()
    message = complaint(lambda: load_agent(name))
    assert message == f"expected a recipe file, got '{name}': there is no such file"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"gamma 0.99\n", id="no TOML"),
        pytest.param(b'[algorithm]\nname = "pp', id="cut off"),
        pytest.param(b"a = 1\na = 2\n", id="a key twice"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param(bytes(64), id="null bytes"),
        pytest.param(b"\x80\x04\x95pickle", id="pickle"),
        pytest.param("# é\n".encode("latin-1"), id="latin-1"),
        pytest.param(b"\x1b[31m = 3\n", id="escape codes"),
        pytest.param(b"gamma = 1979-13-45\n", id="no date"),
        pytest.param(
            b"a = " + b"[" * 100_000,
            id="deep",
        ),
        pytest.param(
            b"a = " + b"1" * 5_000,
            id="a long number",
        ),
    ],
)
def test_a_file_that_is_no_toml(complaint: Complaint, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    assert complaint(lambda: load_agent(str(file))).startswith(f"{file}: expected TOML, got ")


def test_an_empty_file_lacks_every_table_that_has_to_be(
    complaint: Complaint, tmp_path: Path
) -> None:
    file = tmp_path / "empty.toml"
    file.touch()
    assert complaint(lambda: load_agent(str(file))) == (
        f"{file}: expected a key 'algorithm', got none"
    )
    assert complaint(lambda: load_env(str(file))) == (
        f"{file}: expected a key 'game', got none; expected a key 'protocol', got none"
    )


def test_windows_line_ends_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "crlf.toml"
    text = recipe_path("agents", "ppo_abn").read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(text)
    assert load_agent(str(file)) == load_agent("ppo_abn")


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbf" + recipe_path("agents", "ppo_abn").read_bytes())
    assert load_agent(str(file)) == load_agent("ppo_abn")


def test_a_name_longer_than_file_names_can_be(complaint: Complaint) -> None:
    message = complaint(lambda: load_agent("x" * 5_000 + ".toml"))
    assert "there is no such file" in message
