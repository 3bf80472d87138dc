"""Edits of maps on disk."""

from __future__ import annotations

import io
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rl_abn.map_editing.edit_files import read_edits, write_edits
from rl_abn.map_editing.edits import Box, Click, Edit, Edits
from tests.complaints import complaint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "edits"
    (path / "maps").mkdir(parents=True)
    np.save(path / "maps" / "a.npy", np.eye(4, dtype=np.float64))
    cv2.imwrite(str(path / "grey.png"), np.full((4, 8), 51, np.uint8))
    (path / "clicks.csv").write_text("picture,x,y\nc.png,1,2\n\nc.png,3.5,4\n")
    (path / "edits.toml").write_text(
        'bandwidth = 2\nclicks = "clicks.csv"\n'
        '[[edit]]\npicture = "a.png"\nmap = "maps/a.npy"\nadd = [[0, 0, 2, 2.5]]\n'
        '[[edit]]\npicture = "b.png"\nmap = "grey.png"\n'
        '[[edit]]\npicture = "c.png"\nremove = [[0, 0, 1, 1]]\n'
    )
    return path


def same(a: Edits, b: Edits) -> bool:
    return a.bandwidth == b.bandwidth and all(
        (x.map is None) == (y.map is None)
        and (x.map is None or np.array_equal(x.map, y.map))
        and (x.clicks, x.remove, x.add) == (y.clicks, y.remove, y.add)
        and name == other
        for (name, x), (other, y) in zip(a.of.items(), b.of.items(), strict=True)
    )


def test_edits_are_read_from_a_folder_its_table_or_a_zip(folder: Path) -> None:
    edits = read_edits(folder)
    assert list(edits.of) == ["a.png", "b.png", "c.png"]
    assert edits.bandwidth == 2
    assert np.array_equal(edits.of["a.png"].map, np.eye(4, dtype=np.float32)[None])
    assert edits.of["a.png"].add == (Box(0, 0, 2, 2.5),)
    assert np.array_equal(edits.of["b.png"].map, np.full((1, 4, 8), 0.2, np.float32))
    assert edits.of["c.png"].clicks == (Click(1, 2), Click(3.5, 4))
    assert edits.of["c.png"].remove == (Box(0, 0, 1, 1),)
    assert same(read_edits(folder / "edits.toml"), edits)
    assert same(read_edits(shutil.make_archive(str(folder), "zip", folder)), edits)


def test_what_is_written_is_read_back(folder: Path, tmp_path: Path) -> None:
    edits = read_edits(folder)
    write_edits(tmp_path / "new" / "place", edits)
    assert same(read_edits(tmp_path / "new" / "place"), edits)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in complaint(lambda: write_edits(tmp_path / "file", edits))


def npy(array: np.ndarray, **options: bool) -> bytes:
    data = io.BytesIO()
    np.save(data, array, **options)
    return data.getvalue()


def huge() -> bytes:
    data = npy(np.zeros((4, 4)))
    return data.replace(b"(4, 4), ", b"(2048, 2048), ").replace(b" " * 9 + b"\n", b" " * 4 + b"\n")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy(np.full((4, 4), 1.5)), "a map in 0..1, got 1.5 to 1.5"),
        (npy(np.full((4, 4), np.nan)), "a map in 0..1, got nan"),
        (npy(np.zeros(4)), "a map [h, w] or [m, h, w], got [4]"),
        (npy(np.zeros((0, 4))), "got [0, 4]"),
        (npy(np.array([[Bomb()]], dtype=object), allow_pickle=True), "of numbers, got object"),
        (npy(np.zeros((2, 2), complex)), "of numbers, got complex"),
        (npy(np.zeros((4, 4)))[:-8], "got [4, 4]"),
        (huge(), "got [2048, 2048]"),
        (pickle.dumps(Bomb()), "magic string"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "EOF"),
        (b"", "EOF"),
    ],
)
def test_hostile_maps_get_one_line(folder: Path, data: bytes, said: str) -> None:
    (folder / "maps" / "a.npy").write_bytes(data)
    message = complaint(lambda: read_edits(folder))
    assert "a.npy" in message
    assert said in message


def test_an_image_for_a_map_must_be_grey(folder: Path) -> None:
    cv2.imwrite(str(folder / "grey.png"), np.full((4, 8, 3), (1, 2, 3), np.uint8))
    assert complaint(lambda: read_edits(folder)).endswith(
        "expected a grey picture for a map, got a coloured one"
    )
    (folder / "grey.png").write_bytes(b"\x89PNG")
    assert complaint(lambda: read_edits(folder)).endswith("a damaged or cut-off one")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("edit = 3", "tables [[edit]], got 3"),
        ("", "expected edits, got none"),
        ("edits = []", "unknown key 'edits': did you mean 'edit'?"),
        ("bandwidth = 0", "a bandwidth of 0.1 to 1,000, got 0"),
        ("bandwidth = nan", "a bandwidth"),
        ("bandwidth = [", "expected TOML"),
        ("[[edit]]", "edit 1: expected a picture's name, got none"),
        ('[[edit]]\npicture = "a"\nboxes = []', "unknown key 'boxes'"),
        ('[[edit]]\npicture = "a"\nadd = 3', "a list of boxes to add, got 3"),
        ('[[edit]]\npicture = "a"\nadd = [[1, 2, 3]]', "got [1, 2, 3]"),
        ('[[edit]]\npicture = "a"\nremove = [[4, 0, 2, 9]]', "to remove, got [4, 0, 2, 9]"),
        ('[[edit]]\npicture = "a"\nremove = [[0, 0, inf, 9]]', "got [0, 0, inf, 9]"),
        ('[[edit]]\npicture = "a"\nmap = "../a.npy"', "in the folder of the edits"),
        ('[[edit]]\npicture = "a"\nmap = "/etc/a.npy"', "in the folder of the edits"),
        ('[[edit]]\npicture = "a"\nmap = "a.pkl"', "expected a .npy or .png"),
        ('[[edit]]\npicture = "a"\nmap = "no.npy"', "cannot be read: No such file"),
        ('[[edit]]\npicture = "a"\n[[edit]]\npicture = "a"', "got two of 'a'"),
        ('clicks = "grey.png"', "expected a .csv"),
        (
            'clicks = "clicks.csv"\n[[edit]]\npicture = "c.png"\nmap = "grey.png"',
            "expected a map or clicks of 'c.png', got both",
        ),
    ],
)
def test_mistakes_in_the_table_get_one_line(folder: Path, table: str, said: str) -> None:
    (folder / "edits.toml").write_text(table)
    assert said in complaint(lambda: read_edits(folder))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,y,x\na,1,2\n", "expected columns ['picture', 'x', 'y']"),
        ("picture,x,y\na,1\n", "line 2, got ['a', '1']"),
        ("picture,x,y\na,1,nan\n", "in line 2"),
        ("picture,x,y\n,1,2\n", "in line 2"),
        ("picture,x,y\na,one,2\n", "in line 2"),
    ],
)
def test_mistakes_in_the_clicks_get_one_line(folder: Path, text: str, said: str) -> None:
    (folder / "clicks.csv").write_text(text)
    assert said in complaint(lambda: read_edits(folder))


def test_missing_edits_are_reported(tmp_path: Path, folder: Path) -> None:
    assert "did you mean 'edits'?" in complaint(lambda: read_edits(tmp_path / "edit"))
    (folder / "edits.toml").rename(folder / "edit.toml")
    assert "did you mean 'edit.toml'?" in complaint(lambda: read_edits(folder))
    assert read_edits(folder / "edit.toml").bandwidth == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_observation_is_kept_as_it_is(tmp_path: Path, dtype: type) -> None:
    """What the agent saw: shape, type and every value; and it is a part of the edit."""
    seen = np.random.default_rng(0).integers(0, 256, (4, 6, 5)).astype(dtype)
    edit = Edit(map=np.full((1, 2, 2), 0.5, np.float32), observation=seen)
    write_edits(tmp_path / "set", Edits({"step 3": edit}))
    read = read_edits(tmp_path / "set")
    found = read.of["step 3"].observation
    assert found is not None
    assert found.dtype == dtype
    assert np.array_equal(found, seen)
    assert read.digest == Edits({"step 3": edit}).digest
    assert read.digest != Edits({"step 3": replace(edit, observation=seen[::-1].copy())}).digest


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((4, 4)), "expected an observation [C, h, w], got [4, 4]"),
        (np.full((1, 2, 2), np.nan), "expected finite numbers, got NaN or infinity"),
        (np.array([[["a"]]]), "expected an array of numbers, got <U1"),
    ],
)
def test_an_observation_that_will_not_do_is_a_line(
    folder: Path, array: np.ndarray, expected: str
) -> None:
    np.save(folder / "seen.npy", array)
    with (folder / "edits.toml").open("a") as file:
        file.write('[[edit]]\npicture = "d"\nobservation = "seen.npy"\n')
    assert expected in complaint(lambda: read_edits(folder))
