"""A stranger's episode, made to break things: one line, and nothing is unpickled or hangs."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save, save_file

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode, is_episode
from rl_abn.record.chunks import FRAMES, STATES, TRACE, chunk_file
from tests.record.played import play


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield play(tmp_path / "e", 100)
    assert not (tmp_path / "unpickled").exists()


def refused(folder, what=lambda episode: None):
    with pytest.raises(RlAbnError) as caught:
        what(Episode(folder))
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 600
    return said


META = {
    "format": [None, "rl-abn run", 7],
    "version": [0, 2, "1"],
    "title": [None, 5, "a\nb", "\x1b[2J", "x" * 2000],
    "action_names": [[], None, [1], "NOOP", ["a"] * 5000],
    "map_names": [None, [None], ["shared", "policy"]],
    "frame_size": [
        None,
        [30],
        [0, 20],
        [30, 20, 1],
        [10**9, 10**9],
        [2.0, 3.0],
        "ab",
        [4096, 4096],
    ],
    "fps": [0, -1, None, "15", 1e400, True],
    "frames_per_step": [0, "4", None, 10**6],
    "source": [None, []],
    "even_factor": [0, None, 10**12],
    "scale": ["frame", None, 1],
    "seen_rows": [[5], [20, 10], [0, 31], "ab"],
    "objects": [None, {"a": {}}, {"a": {"colours": [[1, 2]], "rows": None, "columns": None}}],
    "arrays": [
        None,
        {},
        {"a": {"dtype": "object", "shape": []}},
        {"a": {"dtype": "float16", "shape": [10**9]}},
        {"a": {"dtype": "float16", "shape": [2**20, 2**20]}},
        {"a": {"dtype": "float16"}},
    ],
    "chunk_steps": [0, None, 10**6],
    "sheet_columns": [0, None, "16"],
    "status": ["done", None, []],
    "n_steps": [-1, None, 1.5],
    "score": [None, "7", True],
    "rl_abn": [None, 1],
}


@pytest.mark.parametrize("name", META)
def test_what_meta_says(folder, name):
    path = folder / "meta.json"
    whole = json.loads(path.read_text())
    for value in [*META[name], ...]:
        data = {k: v for k, v in whole.items() if k != name}
        path.write_text(json.dumps(data if value is ... else {**data, name: value}))
        assert str(path) in refused(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 10**5, b"\xff\xfe", b'{"a": NaN}'])
def test_meta_that_is_no_json_object(folder, content):
    (folder / "meta.json").write_bytes(content)
    assert not is_episode(folder)
    refused(folder)


def test_arrays_that_do_not_fit_the_names(folder):
    path = folder / "meta.json"
    data = json.loads(path.read_text())
    for name, spec in (
        ("probabilities", {"dtype": "float32", "shape": [4]}),
        ("maps", {"dtype": "float16", "shape": [2, 4, 5]}),
        ("evidence", {"dtype": "float16", "shape": [3, 4, 5]}),
        ("value", {"dtype": "int32", "shape": []}),
        ("action", {"dtype": "float32", "shape": []}),
    ):
        changed = {**data, "arrays": {**data["arrays"], name: spec}}
        path.write_text(json.dumps(changed))
        assert f"'{name}'" in refused(folder)


TRACES = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "nothing": lambda path: path.write_bytes(b""),
    "a header of 2^60": lambda path: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    "a header beyond the file": lambda path: path.write_bytes(
        b"".join(
            (lambda h: (struct.pack("<Q", len(h)), h))(
                b'{"action":{"dtype":"I32","shape":[1000000000],"data_offsets":[0,4000000000]}}'
            )
        )
    ),
    "other arrays": lambda path: save_file({"x": np.zeros((64, 3))}, path),
    "other shapes": lambda path: save_file(
        {**load_file(path), "maps": np.zeros((64, 1, 9, 9), np.float16)}, path
    ),
    "other lengths": lambda path: save_file(
        {**load_file(path), "action": np.zeros(63, np.int32)}, path
    ),
    "too many steps": lambda path: save_file(
        {k: np.concatenate([v, v]) for k, v in load_file(path).items()}, path
    ),
    "no steps": lambda path: save_file({k: v[:0] for k, v in load_file(path).items()}, path),
    "a folder": lambda path: path.unlink() or path.mkdir(),
    "a pipe": lambda path: path.unlink() or os.mkfifo(path),
    "a link to itself": lambda path: path.unlink() or path.symlink_to(path),
}


@pytest.mark.parametrize("kind", TRACES)
def test_a_trace(folder, kind):
    TRACES[kind](chunk_file(folder, TRACE, 0))
    refused(folder)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("action", np.full(64, 3, np.int32), "expected actions from 0 to 2"),
        ("action", np.full(64, -1, np.int32), "expected actions from 0 to 2"),
        ("action", np.zeros(64, np.int64), "expected action of int32"),
        ("value", np.full(64, np.nan, np.float32), "expected finite numbers in value"),
        ("maps", np.full((64, 1, 4, 5), np.inf, np.float16), "expected finite numbers in maps"),
    ],
)
def test_numbers_in_a_trace(folder, name, values, said):
    path = chunk_file(folder, TRACE, 0)
    save_file({**load_file(path), name: values}, path)
    assert said in refused(folder, lambda episode: episode.step(0))


def huge(path):
    """A PNG that says it has 10^9 pixels a side."""
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 10**9, 10**9)
    path.write_bytes(data)


SHEETS = {
    "missing": lambda path: path.unlink(),
    "another size": lambda path: Image.new("P", (16, 16)).save(path),
    "10^18 pixels": huge,
    "a JPEG": lambda path: Image.new("RGB", (320, 120)).save(path, "JPEG"),
    "a pipe": lambda path: path.unlink() or os.mkfifo(path),
}


@pytest.mark.parametrize("kind", SHEETS)
def test_a_sheet(folder, kind):
    SHEETS[kind](chunk_file(folder, FRAMES, 0))
    refused(folder)


def damage(path):
    data = bytearray(path.read_bytes())
    for i in range(200, len(data) - 20, 7):
        data[i] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change", [damage, lambda path: Image.new("L", (320, 120)).save(path, "PNG")]
)
def test_a_sheet_that_is_damaged_within(folder, change):
    change(chunk_file(folder, FRAMES, 0))
    assert "expected a sheet of screens" in refused(folder, lambda episode: episode.frame(0))


STATE = {
    "missing": lambda path: path.unlink(),
    "nothing": lambda path: path.write_bytes(b""),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "a deflated pickle": lambda path: path.write_bytes(zlib.compress(pickle.dumps(Bomb()))),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "of 1 GB": lambda path: path.write_bytes(zlib.compress(bytes(2**28), 1)),
    "a pipe": lambda path: path.unlink() or os.mkfifo(path),
}


@pytest.mark.parametrize("kind", STATE)
def test_a_state(folder, kind):
    STATE[kind](chunk_file(folder, STATES, 0))
    assert "expected a state" in refused(folder, lambda episode: episode.state_before(5))


def test_what_a_state_holds_is_data_alone(folder):
    path = chunk_file(folder, STATES, 0)
    path.write_bytes(zlib.compress(save({"emulator": np.zeros(3, np.uint8)})))
    assert Episode(folder).state_before(5)[1].keys() == {"emulator"}
