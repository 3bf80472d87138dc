"""What a kill at any moment of saving or tidying leaves is put right, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rl_abn.files.text import read_json
from rl_abn.runs import STATE, checkpoints
from rl_abn.runs.checkpoints import (
    Checkpoint,
    list_checkpoints,
    list_recoveries,
    name_of,
    read_weights,
    recover,
    remove_older,
    save_checkpoint,
    set_aside,
    step_of,
)


class KilledError(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def save(folder: Path, step: int, barrier: int = 1) -> Checkpoint:
    tensors = {"a": torch.arange(3.0)}
    return save_checkpoint(folder, step, tensors, tensors, {"barrier": barrier})


def barriers(folder: Path) -> dict[int, int]:
    return {c.step: read_json(c.path / STATE)["barrier"] for c in list_checkpoints(folder)}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


@pytest.mark.parametrize("at", range(1, 13))
def test_a_kill_at_any_call_while_a_step_is_saved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    save(tmp_path, 100)
    save(tmp_path, 200)
    calls = 0

    def counting(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise KilledError
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_tensors", "write_json", "flush", "_remove"):
            patch.setattr(checkpoints, name, counting(getattr(checkpoints, name)))
        patch.setattr(Path, "rename", counting(Path.rename))
        if at <= 11:
            with pytest.raises(KilledError):
                save(tmp_path, 200, barrier=2)
        else:
            save(tmp_path, 200, barrier=2)
    recover(tmp_path)
    assert hidden(tmp_path) == []
    # The new one is used from the moment it is whole, which is when the old one makes room.
    assert barriers(tmp_path) == {100: 1, 200: 2 if at > 8 else 1}


@pytest.mark.parametrize("left", ["partial", "replaced", "removed"])
def test_a_half_written_or_half_removed_one_goes(tmp_path: Path, left: str) -> None:
    save(tmp_path, 100)
    path = tmp_path / f".step-000000000100.{left}"
    path.mkdir()
    (path / "policy.safetensors").write_bytes(b"half")
    recover(tmp_path)
    assert hidden(tmp_path) == []
    assert barriers(tmp_path) == {100: 1}


def test_a_replaced_one_without_a_successor_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 100).path.rename(tmp_path / ".step-000000000100.replaced")
    assert barriers(tmp_path) == {}
    recover(tmp_path)
    assert barriers(tmp_path) == {100: 1}


@pytest.mark.parametrize(("keep", "left"), [(0, [1, 2, 3]), (1, [3]), (2, [2, 3]), (9, [1, 2, 3])])
def test_only_the_newest_stay(tmp_path: Path, keep: int, left: list[int]) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    remove_older(tmp_path, keep)
    assert list(barriers(tmp_path)) == left
    assert len(list(tmp_path.iterdir())) == len(left)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_kill_while_old_ones_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    calls = 0

    def kill(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KilledError

    remove, rename = checkpoints._remove, Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_remove", lambda path: (kill(), remove(path)))
        patch.setattr(Path, "rename", lambda path, to: (kill(), rename(path, to)))
        with pytest.raises(KilledError):
            remove_older(tmp_path, 1)
    assert 3 in barriers(tmp_path)
    recover(tmp_path)
    assert hidden(tmp_path) == []
    remove_older(tmp_path, 1)
    assert barriers(tmp_path) == {3: 1}


def test_what_cannot_be_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        save(tmp_path, step)

    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "rename", refuse)
    remove_older(tmp_path, 1)
    assert list(barriers(tmp_path)) == [1, 2]
    assert set_aside(list_checkpoints(tmp_path)[0]).name == name_of(1)


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    save(outside, 1)
    folder = tmp_path / "checkpoints"
    save(folder, 2)
    (folder / name_of(1)).symlink_to(outside / name_of(1))
    remove_older(folder, 1)
    assert list(barriers(folder)) == [2]
    assert barriers(outside) == {1: 1}


@pytest.mark.parametrize(
    "name",
    [
        "step-²",
        "step-00000000000²",
        "step-٠٠٠٠٠٠٠٠٠٠٠٧",
        "step-7",
        "step-0000000000007",
        "step-999999999999999999999999",
        "step--00000000007",
        "step-000000000007\n",
        "step-000000000007.partial",
        "damaged-000000000007",
    ],
)
def test_a_name_that_is_none_of_ours_is_passed_over(tmp_path: Path, name: str) -> None:
    assert step_of(name) is None
    (tmp_path / name).mkdir()
    assert list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("step", [0, 7, 10**12 - 1, 10**12, 2**53 - 1])
def test_a_name_says_its_step(step: int) -> None:
    assert step_of(name_of(step)) == step


def test_weights_under_an_older_name_still_load(tmp_path: Path) -> None:
    stored = {"gaze.places.query.weight": torch.ones(2, 3), "value_net.bias": torch.zeros(1)}
    checkpoint = save_checkpoint(tmp_path, 5, stored, {}, {})
    expected = {"gaze.glimpses.query.weight": torch.zeros(2, 3), "value_net.bias": torch.ones(1)}
    weights = read_weights(checkpoint, expected)
    assert torch.equal(weights["gaze.glimpses.query.weight"], torch.ones(2, 3))


# Recovery checkpoints


def recoveries(folder: Path) -> list[int]:
    return [checkpoint.step for checkpoint in list_recoveries(folder)]


def test_there_is_one_recovery_checkpoint_and_none_after_a_regular_one(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0)}
    save(tmp_path, 100)
    for step in (120, 150):
        saved = save_checkpoint(tmp_path, step, tensors, tensors, {}, recovery=True)
        assert saved.is_recovery
        assert recoveries(tmp_path) == [step]
    remove_older(tmp_path, 1)  # recovery checkpoints do not count
    assert list(barriers(tmp_path)) == [100]
    assert not save(tmp_path, 200).is_recovery
    assert recoveries(tmp_path) == []
    assert hidden(tmp_path) == []


def test_a_recovery_checkpoint_that_a_kill_left_behind_a_regular_one_goes(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0)}
    save(tmp_path, 100)
    for step in (100, 120):
        save_checkpoint(tmp_path / "other", step, tensors, tensors, {}, recovery=True)
        (tmp_path / "other" / f"recovery-{step:012d}").rename(tmp_path / f"recovery-{step:012d}")
    (tmp_path / ".recovery-000000000130.partial").mkdir()
    recover(tmp_path)
    assert recoveries(tmp_path) == [120]
    assert hidden(tmp_path) == []
    (damaged,) = list_recoveries(tmp_path)
    assert set_aside(damaged).name == "damaged-000000000120"
