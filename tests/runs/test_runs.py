"""Run folders: written atomically, read without executing anything, refused when damaged."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import platform
import re
import struct
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rl_abn.command_line import running
from rl_abn.files import text as text_module
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.runs import (
    META,
    RECIPE,
    STATE,
    TRAINING,
    WEIGHTS,
    Checkpoint,
    Run,
    check_weights,
    load_tensors,
    provenance,
    read_json,
    save_tensors,
    write_json,
    write_output,
)
from rl_abn.runs import checkpoints as checkpoints_module
from rl_abn.runs import tensors as tensors_module
from tests.complaints import complaint

CHECKOUT = Path(__file__).resolve().parents[2]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
WEIGHT = {"actor.weight": torch.arange(6.0).reshape(2, 3), "actor.bias": torch.zeros(2)}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def bits(tensor: Tensor) -> list[int]:
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).tolist() if flat.numel() else []


@pytest.fixture
def recipe() -> RunRecipe:
    return make_run_recipe("pong", "ppo_abn_paper", 3, ["algorithm.gamma=0.97", "train.steps=4096"])


@pytest.fixture
def run(tmp_path: Path, recipe: RunRecipe) -> Run:
    return Run.create(tmp_path / "run", recipe, "cpu")


def save(run: Run, step: int, **state: Any) -> Checkpoint:
    return run.save_checkpoint(step, WEIGHT, {"rng.cpu": torch.get_rng_state()}, state)


# Tensors


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {
        "float32": torch.tensor([0.0, -0.0, 1e-45, -1e38, float("inf"), float("nan")]),
        "bfloat16": torch.randn(3, 5).to(torch.bfloat16),
        "float16": torch.randn(4).to(torch.float16),
        "float64": torch.tensor([1 / 3], dtype=torch.float64),
        "int64": torch.tensor([-(2**63), 2**63 - 1]),
        "uint8": torch.arange(256, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(7.25),
        "empty": torch.zeros(0, 4),
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "rng": torch.get_rng_state(),
    }
    save_tensors(tmp_path / "deep" / "down" / "tensors.safetensors", tensors)
    loaded = load_tensors(tmp_path / "deep" / "down" / "tensors.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype, name
        assert loaded[name].shape == tensor.shape, name
        assert bits(loaded[name]) == bits(tensor), name


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tensors.safetensors"
    save_tensors(path, WEIGHT)
    before = tree(tmp_path)
    for name, target in (("save_file", tensors_module), ("rename", Path)):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, raising(FULL))
            message = complaint(lambda: save_tensors(path, {"other": torch.ones(9)}))
        assert message.startswith(f"{path}: cannot be written: ")
        assert "No space left" in message
        assert tree(tmp_path) == before


def header(length: int, text: bytes) -> bytes:
    return struct.pack("<Q", length) + text


SOUND = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x08", id="one byte"),
        pytest.param(b"no tensors at all, only words", id="text"),
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(header(2**63 - 1, SOUND), id="giant header"),
        pytest.param(header(2**64 - 1, SOUND), id="largest header"),
        pytest.param(header(99_999_999, SOUND + bytes(8)), id="header longer than the file"),
        pytest.param(header(len(SOUND), SOUND), id="no data"),
        pytest.param(header(len(SOUND), SOUND) + bytes(7), id="a byte too few"),
        pytest.param(header(len(SOUND), SOUND) + bytes(9), id="a byte too many"),
        pytest.param(header(4, b"{,,}"), id="no JSON"),
        pytest.param(header(4, b"\xff\xff\xff\xff"), id="no UTF-8"),
        pytest.param(header(len(SOUND), SOUND.replace(b"F32", b"X32")) + bytes(8), id="no dtype"),
        pytest.param(header(len(SOUND), SOUND.replace(b"[2]", b"[3]")) + bytes(8), id="shape"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(content)
    message = complaint(lambda: load_tensors(path))
    assert message.startswith(f"{path}: expected a safetensors file, got ")
    assert len(message) < len(str(path)) + 220


def test_a_sound_file_of_the_same_kind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(header(len(SOUND), SOUND) + struct.pack("<2f", 1.5, -2.0))
    assert load_tensors(path)["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("kept", [1, 7, 8, 9, 100, -1])
def test_a_cut_off_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "policy.safetensors"
    save_tensors(path, WEIGHT)
    path.write_bytes(path.read_bytes()[:kept])
    assert complaint(lambda: load_tensors(path)).startswith(f"{path}: expected a safetensors file")


def test_no_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.safetensors", tmp_path):
        assert complaint(lambda path=path: load_tensors(path)).startswith(
            f"{path}: expected a safetensors file, got "
        )


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, form: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "policy.safetensors"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Bomb(marker)))
    else:
        state = {"weight": torch.zeros(2), "bomb": Bomb(marker)}
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    message = complaint(lambda: load_tensors(path))
    assert message.startswith(f"{path}: expected a safetensors file, got ")
    assert not marker.exists()
    # It would have gone off.
    if form == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert marker.is_dir()


# Weights


def test_the_models_own_weights_pass(tmp_path: Path) -> None:
    check_weights(tmp_path, {k: v.clone() for k, v in WEIGHT.items()}, WEIGHT)
    check_weights(tmp_path, {"n": torch.tensor([3])}, {"n": torch.tensor([0])})


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    got = {"actor.weight": WEIGHT["actor.weight"]}
    message = complaint(lambda: check_weights(tmp_path, got, WEIGHT))
    assert message.startswith(f"{tmp_path}: expected ")
    assert "actor.bias (the file lacks it)" in message


def test_an_extra_tensor_is_refused(tmp_path: Path) -> None:
    got = {**WEIGHT, "critic.bias": torch.zeros(1)}
    message = complaint(lambda: check_weights(tmp_path, got, WEIGHT))
    assert "critic.bias (the agent has none)" in message


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 4), (1, 2, 3), ()])
def test_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    got = {**WEIGHT, "actor.weight": torch.zeros(shape)}
    assert complaint(lambda: check_weights(tmp_path, got, WEIGHT)) == (
        f"{tmp_path}: expected actor.weight of shape (2, 3), got {shape}"
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, number: float) -> None:
    bias = torch.tensor([0.0, number])
    message = complaint(lambda: check_weights(tmp_path, {**WEIGHT, "actor.bias": bias}, WEIGHT))
    assert message == f"{tmp_path}: expected finite numbers in actor.bias, got NaN or infinity"


# Checkpoints


def test_a_checkpoint_holds_what_was_saved(run: Run) -> None:
    rng = torch.get_rng_state()
    checkpoint = run.save_checkpoint(
        2048, WEIGHT, {"rng.cpu": rng}, {"barrier": 1, "episodes": [{"r": -21.0}]}
    )
    assert checkpoint == (run.path / "checkpoints" / "step-000000002048", 2048)
    assert sorted(tree(checkpoint.path)) == sorted([WEIGHTS, TRAINING, STATE])
    weights = load_tensors(checkpoint.path / WEIGHTS)
    assert {name: bits(tensor) for name, tensor in weights.items()} == {
        name: bits(tensor) for name, tensor in WEIGHT.items()
    }
    assert torch.equal(load_tensors(checkpoint.path / TRAINING)["rng.cpu"], rng)
    assert read_json(checkpoint.path / STATE) == {"barrier": 1, "episodes": [{"r": -21.0}]}


def test_checkpoints_are_in_the_order_of_their_steps(run: Run) -> None:
    steps = [5, 1_000_000_000_000, 20, 3]  # the second has a digit more than names are padded to
    for step in steps:
        save(run, step)
    assert [checkpoint.step for checkpoint in run.checkpoints] == sorted(steps)
    assert run.checkpoint().step == 1_000_000_000_000
    assert run.checkpoint(20) == run.checkpoints[2]


@pytest.mark.parametrize(
    ("asked", "nearest"), [(0, 1000), (1400, 1000), (1600, 2000), (10**9, 2000)]
)
def test_no_checkpoint_at_a_step_gets_the_nearest(run: Run, asked: int, nearest: int) -> None:
    save(run, 1000)
    save(run, 2000)
    assert complaint(lambda: run.checkpoint(asked)) == (
        f"{run.path}: expected a checkpoint at step {asked}, got none; the nearest is {nearest}"
    )


def test_no_checkpoint_yet(run: Run) -> None:
    assert run.checkpoints == []
    for step in (None, 5):
        message = complaint(lambda step=step: run.checkpoint(step))
        assert message == f"{run.path}: expected a checkpoint, got none yet"


def test_what_is_no_checkpoint_is_passed_over(run: Run) -> None:
    save(run, 7)
    for name in (".step-000000000009.partial", "step-later", "notes"):
        (run.path / "checkpoints" / name).mkdir()
    assert [checkpoint.step for checkpoint in run.checkpoints] == [7]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (tensors_module, "save_file"),
        (checkpoints_module, "write_json"),
        (tensors_module, "flush"),
        (text_module, "flush"),
        (checkpoints_module, "flush"),
        (Path, "rename"),
    ],
)
def test_a_full_disk_leaves_the_earlier_checkpoint(
    run: Run, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    save(run, 1000, barrier=1)
    before = tree(run.path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, raising(FULL))
        message = complaint(lambda: save(run, 2000))
    assert message.startswith(f"{run.path / 'checkpoints' / 'step-000000002000'}: ")
    assert "No space left on device" in message
    assert tree(run.path) == before
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-000000001000"]
    assert run.checkpoint().step == 1000
    save(run, 2000)
    assert run.checkpoint().step == 2000


def test_what_a_killed_process_left_is_replaced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save(run, 1000)
    # A kill leaves no time to tidy up.
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "write_json", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            save(run, 2000)
    assert run.checkpoint().step == 1000
    save(run, 2000, barrier=2)
    assert read_json(run.checkpoint().path / STATE) == {"barrier": 2}
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == ["step-000000001000", "step-000000002000"]


def test_a_step_saved_twice_holds_the_second(run: Run) -> None:
    save(run, 1000, barrier=1)
    save(run, 1000, barrier=2)
    assert read_json(run.checkpoint(1000).path / STATE) == {"barrier": 2}


def test_a_failed_second_save_of_a_step_leaves_the_first(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1000, barrier=1)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise FULL
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        complaint(lambda: save(run, 1000, barrier=2))
    assert read_json(run.checkpoint(1000).path / STATE) == {"barrier": 1}


# Run folders


def test_a_run_opens_as_it_was_made(tmp_path: Path, run: Run, recipe: RunRecipe) -> None:
    assert sorted(tree(run.path)) == [META, RECIPE]
    opened = Run.open(run.path)
    assert (opened.path, opened.recipe) == (run.path, recipe)
    assert opened.recipe.agent.algorithm.gamma == 0.97


def test_a_run_is_not_made_over_another(run: Run, recipe: RunRecipe) -> None:
    before = tree(run.path)
    message = complaint(lambda: Run.create(run.path, recipe, "cpu"))
    assert message.startswith(f"{run.path}: cannot be written: ")
    assert tree(run.path) == before


def test_a_run_goes_on_to_more_steps(run: Run, recipe: RunRecipe) -> None:
    longer = run.with_train(steps=8192)
    assert longer.recipe.agent.train.steps == 8192
    assert Run.open(run.path).recipe == longer.recipe
    agent = longer.recipe.agent
    back = agent.model_copy(update={"train": agent.train.model_copy(update={"steps": 4096})})
    assert longer.recipe.model_copy(update={"agent": back}) == recipe


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("runs/pong/ppo_abn_paper/seed-9", "did you mean 'runs/pong/ppo_abn_paper/seed-1'?"),
        ("runs/breakout/a2c_mask", "did you mean 'runs/breakout/a2c_mask/seed-0'?"),
        ("zzz", "choose one of: runs/breakout/a2c_mask/seed-0, runs/pong/ppo_abn_paper/seed-1"),
    ],
)
def test_a_folder_that_is_none_gets_the_nearest_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: RunRecipe, asked: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("runs/pong/ppo_abn_paper/seed-1", "runs/breakout/a2c_mask/seed-0"):
        Run.create(Path(place), recipe, "cpu")
    kind = "a folder without recipe.toml" if Path(asked).is_dir() else "no such folder"
    assert complaint(lambda: Run.open(Path(asked))) == (
        f"expected a run folder, got '{asked}' ({kind}); {hint}"
    )


def test_where_there_are_no_runs_one_is_to_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complaint(lambda: Run.open(Path("missing"))) == (
        "expected a run folder, got 'missing' (no such folder); train one with 'rl-abn train'"
    )
    assert complaint(lambda: Run.open(tmp_path)) == (
        f"expected a run folder, got '{tmp_path}' (a folder without recipe.toml); "
        "train one with 'rl-abn train'"
    )


def test_a_run_with_a_damaged_recipe_is_refused(run: Run) -> None:
    path = run.path / RECIPE
    whole = path.read_text("utf-8")
    path.write_text(whole[: len(whole) // 2], "utf-8")
    assert complaint(lambda: Run.open(run.path)).startswith(f"{path}: ")
    path.write_text(whole.replace("gamma = 0.97", "gamma = 97"), "utf-8")
    assert complaint(lambda: Run.open(run.path)).startswith(f"{path}: agent.algorithm.gamma: ")
    path.write_text(whole.replace("gamma = 0.97", "gama = 0.97"), "utf-8")
    assert complaint(lambda: Run.open(run.path)) == (
        f"{path}: unknown key 'agent.algorithm.gama': did you mean 'gamma'?"
    )


def test_a_run_name_longer_than_names_can_be() -> None:
    assert "expected a run folder" in complaint(lambda: Run.open(Path("x" * 5_000)), 6_000)


def test_a_full_disk_while_a_run_is_noted_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rename", raising(FULL))
    for change in (lambda: run.update_meta(status="finished"), lambda: run.with_train(steps=9000)):
        assert "No space left" in complaint(change)


# JSON and provenance


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    data = {"a": nan, "b": [1.5, inf, {"c": (-inf, 2)}], "d": {"e": nan}, "f": "nan", "g": None}
    write_json(tmp_path / "data.json", data)
    text = (tmp_path / "data.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {
        "a": None,
        "b": [1.5, None, {"c": [None, 2]}],
        "d": {"e": None},
        "f": "nan",
        "g": None,
    }
    assert text.endswith("}\n")


def test_json_numbers_come_back_exactly(tmp_path: Path) -> None:
    data = {"third": 1 / 3, "tiny": 5e-324, "big": 2**63, "minus": -0.0}
    write_json(tmp_path / "data.json", data)
    assert read_json(tmp_path / "data.json") == data


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"[1, 2]", b"null"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    assert complaint(lambda: read_json(path)).startswith(f"{path}: expected ")
    path.unlink()
    assert complaint(lambda: read_json(path)).startswith(f"{path}: expected JSON, got ")


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.json"
    write_json(path, {"old": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", raising(FULL))
        message = complaint(lambda: write_output(path, {"new": 2}))
    assert message == f"{path}: cannot be written: No space left on device"
    assert read_json(path) == {"old": 1}


def test_an_interrupted_write_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", raising(FULL))
        complaint(lambda: write_output(tmp_path / "data.json", {"new": 2}))
    assert list(tmp_path.iterdir()) == []


def test_a_result_makes_its_folders_or_says_why_not(tmp_path: Path) -> None:
    write_output(tmp_path / "a" / "b" / "result.json", {"score": 3})
    assert read_json(tmp_path / "a" / "b" / "result.json") == {"score": 3}
    blocked = tmp_path / "a" / "b" / "result.json" / "deeper.json"
    assert complaint(lambda: write_output(blocked, {})).startswith(f"{blocked}: cannot be written")


def test_meta_keeps_what_is_not_changed(run: Run) -> None:
    before = read_json(run.path / META)
    run.update_meta(status="finished", steps=4096)
    assert read_json(run.path / META) == {**before, "status": "finished", "steps": 4096}


def test_provenance_says_what_made_the_result() -> None:
    with running(["train", "--out", "a folder"]):
        meta = provenance("cuda:0")
    assert meta["command"] == "rl-abn train --out 'a folder'"
    assert meta["device"] == "cuda:0"
    assert meta["versions"] == {
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{
            name: version(name)
            for name in ("rl-abn", "stable-baselines3", "gymnasium", "ale-py", "numpy")
        },
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", meta["started"])
    assert meta["cpu_cores"] == os.cpu_count()
    assert (meta["status"], meta["wall_time_s"]) == ("running", 0.0)
    if not (CHECKOUT / ".git").exists():
        assert meta["commit"] is None


def test_a_run_is_made_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: RunRecipe
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = Run.create(tmp_path / "run", recipe, "cpu")
    assert read_json(run.path / META)["commit"] is None
