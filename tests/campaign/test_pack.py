"""A campaign's folder in a few files: what goes in, what comes out, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rl_abn.campaign import pack as packing
from rl_abn.campaign.pack import Bundle, files_below, pack, unpack
from tests.complaints import complaint


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    for name, size in (("a/one", 300_000), ("a/two", 10), ("b/three", 400_000), ("c/four", 5)):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(os.urandom(size))  # which no compression makes smaller
    return work


def bundles(work: Path) -> list[Bundle]:
    return [Bundle(name, tuple(files_below(work / name))) for name in ("a", "b", "c")]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_packed_comes_out_again(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing._Parts, "room_of_a_part", 250_000)
    packed = pack(bundles(work), work, tmp_path / "out", most_mb=1)
    assert packed.left_out == ()
    assert [file.name for file in packed.files] == [f"pack.tar.gz.00{i}" for i in range(3)]
    sizes = [file.stat().st_size for file in packed.files]
    assert sizes[:2] == [250_000, 250_000]
    assert sum(sizes) == packed.size
    assert unpack(tmp_path / "out", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(work)


def test_what_has_no_room_is_left_out_whole_and_named(work: Path, tmp_path: Path) -> None:
    packed = pack(bundles(work), work, tmp_path / "out", most_mb=0.5)
    assert packed.left_out == ("b",)
    assert packed.size < 0.5e6
    assert unpack(tmp_path / "out", tmp_path / "again")
    assert sorted(contents(tmp_path / "again")) == ["a/one", "a/two", "c/four"]


def test_a_smaller_pack_leaves_no_part_of_the_one_before(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing._Parts, "room_of_a_part", 250_000)
    pack(bundles(work), work, tmp_path / "out", most_mb=1)
    packed = pack(bundles(work)[2:], work, tmp_path / "out", most_mb=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pack.tar.gz.000"]
    assert len(packed.files) == 1


def test_a_folder_that_is_there_stays(work: Path, tmp_path: Path) -> None:
    pack(bundles(work), work, tmp_path / "out", most_mb=1)
    before = contents(work)
    (work / "a" / "one").write_bytes(b"newer")
    assert not unpack(tmp_path / "out", work)
    assert contents(work) == {**before, "a/one": b"newer"}
    assert not unpack(tmp_path / "nothing here", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("how", ["cut off", "changed", "a part is missing"])
def test_a_damaged_pack_is_one_line_and_leaves_nothing(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(packing._Parts, "room_of_a_part", 250_000)
    first, second, _ = pack(bundles(work), work, tmp_path / "out", most_mb=1).files
    data = bytearray(first.read_bytes())
    if how == "cut off":
        first.write_bytes(data[:1000])
    elif how == "changed":
        data[len(data) // 2] ^= 255
        first.write_bytes(data)
    else:
        second.unlink()
    said = complaint(lambda: unpack(tmp_path / "out", tmp_path / "again"))
    assert "expected a whole pack.tar.gz.*" in said
    assert not (tmp_path / "again").exists()
    assert not (tmp_path / "again.partial").exists()


def test_links_and_hidden_files_are_not_packed(work: Path) -> None:
    (work / "a" / ".lock").touch()
    (work / "a" / "link").symlink_to("/etc/hostname")
    assert [path.name for path in files_below(work / "a")] == ["one", "two"]
    assert [path.name for path in files_below(work, but=("a", "b"))] == ["four"]
