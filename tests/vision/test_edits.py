"""Edits of maps: boxes, clicks and maps, in memory and on disk."""

from __future__ import annotations

import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import norm

from rl_abn.errors import RlAbnError
from rl_abn.vision.edit_files import read_edits, write_edits
from rl_abn.vision.edits import Box, Click, Edit, Edits, covered, density

SIZE = (8, 16)  # of pictures; maps are 4×8


def complaint(mistake: Callable[[], object]) -> str:
    with pytest.raises(RlAbnError) as caught:
        mistake()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    return message


def applied(edit: Edit, own: torch.Tensor | None = None, **options: float) -> torch.Tensor:
    own = torch.full((1, 1, 4, 8), 0.4) if own is None else own
    return Edits({"a.png": edit}, **options).apply(own, SIZE)[0]


def test_a_box_counts_by_the_area_it_covers():
    share = covered(Box(1, 0, 4, 3), SIZE, (4, 8))
    assert share[:, :3].tolist() == [[0.5, 1, 0], [0.25, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert share[:, 3:].sum() == 0
    # Whatever the resolution, together it is the box's share of the picture.
    for map_size in ((4, 8), (3, 5), (8, 16), (30, 50)):
        mean = covered(Box(1.5, 2, 9, 7.25), SIZE, map_size).mean().item()
        assert mean == pytest.approx(7.5 * 5.25 / 128, rel=1e-5)
    assert (covered(Box(-5, -5, 99, 99), SIZE, (4, 8)) == 1).all()


def test_boxes_are_removed_and_then_added_in_the_networks_own_map():
    edit = Edit(remove=(Box(0, 0, 8, 8),), add=(Box(4, 0, 6, 4), Box(15, 6, 16, 8)))
    edited = applied(edit)[0]
    assert (edited[:, :2] == 0).all()
    assert (edited[:2, 2] == 1).all()
    assert (edited[2:, 2] == 0).all()
    assert edited[0, 5] == pytest.approx(0.4)
    assert edited[3, 7] == pytest.approx(0.5 * 1 + 0.5 * 0.4)


def test_a_map_of_another_size_is_brought_to_the_networks():
    given = np.zeros((1, 8, 16), np.float32)
    given[0, :2, :2] = 1
    assert applied(Edit(map=given))[0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    small = applied(Edit(map=np.full((1, 2, 2), 0.75, np.float32)))
    assert (small == 0.75).all()
    two = np.stack([np.zeros((4, 8)), np.ones((4, 8))]).astype(np.float32)
    edited = applied(Edit(map=two), torch.rand(1, 2, 4, 8))
    assert edited.mean((1, 2)).tolist() == [0, 1]
    message = complaint(lambda: applied(Edit(map=two)))
    assert message == "edits: 'a.png': expected a map, or one for each of 1, got 2"


def test_clicks_become_a_kernel_density_with_its_maximum_at_1():
    one = density([Click(8, 4)], (9, 17), (9, 17), 1.5)
    assert one.max() == 1
    assert one[4, 8] == 1
    expected = norm.pdf(np.arange(17), 8, 1.5)
    np.testing.assert_allclose(one[4], expected / expected.max(), atol=2e-3)
    two = density([Click(2, 4), Click(2, 4), Click(14, 4)], (9, 17), (9, 17), 1.0)
    assert two[4, 14] / two[4, 2] == pytest.approx(0.5, abs=0.01)
    edited = applied(Edit(clicks=(Click(1, 1),), add=(Box(14, 6, 16, 8),)), bandwidth=0.5)[0]
    assert edited[0, 0] == edited[3, 7] == 1
    assert edited[0, 7] < 0.01


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit(add=(Box(16, 0, 20, 4),)), "a picture of 8x16"),
        (Edit(remove=(Box(-4, 0, 0, 4),)), "a box [left, top, right, bottom]"),
        (Edit(clicks=(Click(3, 8),)), "got x 3, y 8"),
        (Edit(clicks=(Click(-0.5, 2),)), "clicks within"),
    ],
)
def test_what_lies_outside_the_picture_is_told(edit: Edit, said: str) -> None:
    assert said in complaint(lambda: applied(edit))


def test_pictures_that_are_not_in_the_set_are_told_with_the_nearest():
    edits = Edits({"cat/2.png": Edit(), "cat/1.png": Edit(), "cat/9.pgn": Edit()})
    known = Edits({"cat/2.png": Edit(), "cat/1.png": Edit()})
    names = ["cat/1.png", "dog/7.png", "cat/2.png", "cat/9.png"]
    assert known.numbers(names).tolist() == [2, 0]
    assert complaint(lambda: edits.numbers(names)) == (
        "edits: expected pictures of the set, got 'cat/9.pgn': did you mean 'cat/9.png'?"
    )
    assert "there is no name like it" in complaint(lambda: edits.numbers(["x"]))


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


def test_a_picture_for_a_map_has_to_be_grey(folder: Path) -> None:
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


def test_missing_edits_are_told(tmp_path: Path, folder: Path) -> None:
    assert "did you mean 'edits'?" in complaint(lambda: read_edits(tmp_path / "edit"))
    (folder / "edits.toml").rename(folder / "edit.toml")
    assert "did you mean 'edit.toml'?" in complaint(lambda: read_edits(folder))
    assert read_edits(folder / "edit.toml").bandwidth == 2
