"""A stranger's run folder, made to break things: one line, exit code 2, and nothing hangs."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rl_abn.runs import META, RECIPE, WEIGHTS, Run, write_json

Mistake = Callable[..., str]


def deep(key: str, depth: int) -> str:
    return f"{key} = {'{a=' * depth}1{'}' * depth}\n"


RECIPES: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _: b"",
    "binary": lambda _: bytes(range(256)) * 40,
    "of 40 MB": lambda _: b"a = 1\n" * 7_000_000,
    "nested arrays": lambda _: b"a = " + b"[" * 100_000,
    # Reading takes time that grows with the square of the depth; Python recurses 1,000 deep.
    "nested tables": lambda _: f"[{'.'.join('a' * 10_000)}]\nx = 1\n".encode(),
    "a nested seed": lambda text: text.replace("seed = 0\n", deep("seed", 300)).encode(),
    "a seed of many digits": lambda text: text.replace("seed = 0", f"seed = {'9' * 4000}").encode(),
    "a seed of many letters": lambda text: text.replace(
        "seed = 0", f"seed = '{'x' * 10**5}'"
    ).encode(),
    "a long key": lambda text: f"{'z' * 10**5} = 1\n{text}".encode(),
    "a gamma of NaN": lambda text: text.replace("gamma = 0.99", "gamma = nan").encode(),
    "a screen of 10^16 pixels": lambda text: text.replace(
        "screen_size = 84", "screen_size = 100000000"
    ).encode(),
    "a stack of 2^53": lambda text: text.replace(
        "frame_stack = 4", "frame_stack = 9007199254740991"
    ).encode(),
    "a cap beyond ALE's": lambda text: text.replace(
        "max_frames = 108000", "max_frames = 2147483648"
    ).encode(),
    "a name that clears the screen": lambda text: text.replace(
        'agent_name = "ppo_abn_paper"', 'agent_name = "\\u001b[2J"'
    ).encode(),
    "a title without an end": lambda text: text.replace(
        'title = "Pong"', f'title = "{"x" * 10**5}"'
    ).encode(),
    "a game elsewhere": lambda text: text.replace('rom = "pong"', 'rom = "../../pong"').encode(),
}


@pytest.mark.parametrize("command", ["eval", "watch"])
@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe(mistake: Mistake, run: Run, kind: str, command: str) -> None:
    text = (run.path / RECIPE).read_text("utf-8")
    content = RECIPES[kind](text)
    assert content != text.encode()
    (run.path / RECIPE).write_bytes(content)
    if kind == "a game elsewhere":
        run.save_checkpoint(5, {}, {}, {})
    said = mistake(command, str(run.path))
    assert len(said) < 700
    assert said.isprintable()


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_a_recipe_that_is_no_file(mistake: Mistake, run: Run, kind: str) -> None:
    path = run.path / RECIPE
    path.unlink()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[
        kind
    ]()
    assert mistake("eval", str(run.path)).startswith(f"expected a run folder, got '{run.path}' (")


@pytest.mark.parametrize("command", ["eval", "watch"])
def test_checkpoints_that_are_none(mistake: Mistake, run: Run, command: str) -> None:
    folder = run.path / "checkpoints"
    folder.mkdir()
    for name in ("step-²", "step-00000000000²", f"step-{'9' * 24}", "step-", "step-1e400"):
        (folder / name).mkdir()
    assert mistake(command, str(run.path)) == f"{run.path}: expected a checkpoint, got none yet"
    shutil.rmtree(folder)
    folder.symlink_to("checkpoints")
    assert mistake(command, str(run.path)) == f"{run.path}: expected a checkpoint, got none yet"


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


WEIGHT_FILES = {
    "giant header": header(b"{}", 2**62),
    "offsets beyond the file": header(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8000000000]}}'
    ),
    "a shape beyond memory": header(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}}' + bytes(8)
    ),
    "nested header": header(b'{"a":' * 100_000),
    "a pickle": b"cos\nmkdir\n(S'marker'\ntR.",
}


@pytest.mark.parametrize("kind", [*WEIGHT_FILES, "sparse", "pipe", "endless", "loop"])
def test_weights(mistake: Mistake, run: Run, folder: Path, kind: str) -> None:
    path = run.save_checkpoint(5, {"a": torch.zeros(2)}, {}, {}).path / WEIGHTS
    if kind in WEIGHT_FILES:
        path.write_bytes(WEIGHT_FILES[kind])
    elif kind == "sparse":
        os.truncate(path, 2**42)
    else:
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero" if kind == "endless" else path.name)
    said = mistake("eval", str(run.path), "--device", "cpu")
    assert said.startswith(f"{path}: expected ")
    assert len(said) < 400
    assert not (folder / "marker").exists()


@pytest.mark.more
@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{", marks=pytest.mark.full),
        pytest.param("[1]", marks=pytest.mark.full),
        pytest.param('{"a":' * 100_000, id="nested"),
        pytest.param("\0" * 100, marks=pytest.mark.full, id="zeros"),
    ],
)
def test_a_meta_file_on_export(mistake: Mistake, run: Run, content: str) -> None:
    run.save_checkpoint(5, {"a": torch.zeros(2)}, {}, {})
    (run.path / META).write_text(content)
    assert mistake("export", str(run.path), "out.zip").startswith(f"{run.path / META}: expected ")
    write_json(run.path / META, {})
    assert "state.json: expected" in mistake("export", str(run.path), "out.zip")
    assert not Path("out.zip").exists()
