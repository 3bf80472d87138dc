"""Overwriting removes a run once its successor has a checkpoint, and nothing but a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rl_abn.explain.written import CERTIFICATE, DATA, EXPLANATIONS, PAGE, PARTS
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.runs import META, OnExists, Run, check_free, free_folder
from rl_abn.runs.holding import hold, let_go, let_go_on_failure
from rl_abn.runs.lock import holder_of
from rl_abn.runs.replacing import aside_of
from rl_abn.runs.resume import run_to_resume
from tests.complaints import complaint


@pytest.fixture
def recipe() -> RunRecipe:
    return make_run_recipe("pong", "ppo_abn_paper", 3, ["train.steps=100"])


def make(folder: Path, recipe: RunRecipe, step: int | None = None, **meta: object) -> Run:
    run = Run.create(folder, recipe, "cpu", mark=step, **meta)
    if step is not None:
        save(run, step)
    return run


def save(run: Run, step: int, *, recovery: bool = False) -> None:
    run.save_checkpoint(step, {"w": torch.zeros(2)}, {}, {"step": step}, recovery=recovery)


def steps(folder: Path) -> list[int]:
    return [checkpoint.step for checkpoint in Run.open(folder).checkpoints]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: Path, recipe: RunRecipe) -> Run:
    run = make(tmp_path / "run", recipe, 11)
    run.update_meta(status="finished")
    return run


@pytest.mark.parametrize("recovery", [False, True])
def test_the_old_run_goes_with_the_first_checkpoint_of_the_new(
    old: Run, recipe: RunRecipe, recovery: bool
) -> None:
    assert free_folder(old.path, "overwrite") == old.path
    assert names(old.path.parent) == [".run.replaced"]
    new = make(old.path, recipe)
    hold(new.path)
    assert names(old.path.parent) == [".run.replaced", "run"]
    save(new, 5, recovery=recovery)
    assert names(old.path.parent) == ["run"]
    let_go(new.path)
    assert new.checkpoint().step == 5


def test_the_old_run_stays_while_the_new_one_has_what_it_begins_with_alone(
    old: Run, recipe: RunRecipe
) -> None:
    free_folder(old.path, "overwrite")
    new = make(old.path, recipe)
    hold(new.path)
    save(new, 0)
    assert names(old.path.parent) == [".run.replaced", "run"]
    let_go(new.path)
    assert steps(old.path) == [11]
    assert names(old.path.parent) == ["run"]


@pytest.mark.parametrize("recovery", [False, True])
def test_what_is_trained_after_it_replaces_the_old_run(
    old: Run, recipe: RunRecipe, recovery: bool
) -> None:
    free_folder(old.path, "overwrite")
    new = make(old.path, recipe)
    hold(new.path)
    save(new, 0)
    save(new, 5, recovery=recovery)
    assert names(old.path.parent) == ["run"]
    let_go(new.path)
    assert Run.open(old.path).path.joinpath("checkpoints", "step-000000000000").is_dir()


def test_an_import_of_unknown_steps_replaces_the_old_run(old: Run, recipe: RunRecipe) -> None:
    free_folder(old.path, "overwrite")
    new = make(old.path, recipe, imported={"kind": "sb3", "file": "a.zip", "steps": 0})
    hold(new.path)
    save(new, 0)
    assert names(old.path.parent) == ["run"]
    let_go(new.path)
    assert steps(old.path) == [0]


@pytest.mark.parametrize("made", [False, True])
def test_the_old_run_is_back_where_the_new_one_fails(
    old: Run, recipe: RunRecipe, capsys: pytest.CaptureFixture[str], made: bool
) -> None:
    before = {p: p.read_bytes() for p in old.path.rglob("*") if p.is_file()}
    folder = free_folder(old.path, "overwrite")
    if made:
        make(folder, recipe)
        hold(folder)
    with pytest.raises(ZeroDivisionError), let_go_on_failure(folder):
        raise ZeroDivisionError
    assert {p: p.read_bytes() for p in old.path.rglob("*") if p.is_file()} == before
    assert names(old.path.parent) == ["run"]
    assert holder_of(old.path) is None
    assert capsys.readouterr().err == (
        f"rl-abn: {old.path}: the run that was there is back, as the new one has no checkpoint\n"
    )


@pytest.mark.parametrize("on_exists", [None, "new", "overwrite", "resume", "open"])
@pytest.mark.parametrize("moment", ["renamed", "made", "begun", "saved", "imported"])
def test_the_next_command_settles_what_a_kill_left(
    old: Run, recipe: RunRecipe, on_exists: OnExists | None, moment: str
) -> None:
    # What the folders are at each moment; a kill leaves no time for more.
    old.path.rename(aside_of(old.path))
    if moment != "renamed":
        make(old.path, recipe, **({"imported": {}} if moment == "imported" else {}))
    step = {"begun": 0, "saved": 5, "imported": 0}.get(moment)
    if step is not None:
        folder = old.path / "checkpoints" / f"step-{step:012d}"
        folder.mkdir(parents=True)
    if on_exists == "open":
        Run.open(old.path)
    elif on_exists == "resume" and moment == "imported":
        complaint(lambda: run_to_resume(old.path, recipe, (), "cpu", "resume"))
    elif on_exists == "resume":
        assert run_to_resume(old.path, recipe, (), "cpu", "resume") is not None
        let_go(old.path)
    else:
        if on_exists is None:
            complaint(lambda: check_free(old.path, None))
        check_free(old.path, on_exists or "new")
    assert names(old.path.parent) == ["run"]
    assert steps(old.path) == {"saved": [5], "imported": [0]}.get(moment, [11])


def test_a_training_before_its_first_checkpoint_is_left_alone(old: Run, recipe: RunRecipe) -> None:
    free_folder(old.path, "overwrite")
    new = make(old.path, recipe)
    hold(new.path)
    Run.open(old.path)
    assert aside_of(old.path).is_dir()
    let_go(new.path)
    assert steps(old.path) == [11]


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", ".git/HEAD", "evaluations/notes.md", "checkpoints/mine", "edits/a.png"),
        *("explanations/notes.md", "explanations/step-11-full-0/notes.md"),
    ],
)
def test_a_file_of_ones_own_is_never_removed(old: Run, name: str) -> None:
    (old.path / name).parent.mkdir(parents=True, exist_ok=True)
    (old.path / name).write_text("mine")
    for refused in (
        lambda: free_folder(old.path, "overwrite"),
        lambda: check_free(old.path, "overwrite"),
    ):
        assert complaint(refused) == (
            f"{old.path}: expected only what a run consists of, as overwriting removes it, got "
            f"'{name}'; move that, or use --on-exists new"
        )
    assert (old.path / name).read_text() == "mine"
    assert steps(old.path) == [11]


def test_a_file_of_ones_own_in_a_run_that_failed_is_kept(old: Run, recipe: RunRecipe) -> None:
    free_folder(old.path, "overwrite")
    new = make(old.path, recipe)
    hold(new.path)
    (new.path / "notes.txt").write_text("mine")
    let_go(new.path)
    assert names(old.path.parent) == ["run", "run-failed-1"]
    assert (old.path.parent / "run-failed-1" / "notes.txt").read_text() == "mine"
    assert steps(old.path) == [11]


def test_a_link_is_never_removed(old: Run, tmp_path: Path) -> None:
    (old.path / "videos").symlink_to(tmp_path)
    assert "got 'videos'" in complaint(lambda: free_folder(old.path, "overwrite"))


def test_all_that_a_run_consists_of_may_be_overwritten(old: Run) -> None:
    for name in (
        *("metrics.jsonl", "outputs.json", ".lock", ".meta.json.partial"),
        *("tensorboard/events.out.tfevents.1.host.2.0", "attention/probes.safetensors"),
        *("attention/edits.safetensors", "attention/maps/step-000000000064.safetensors"),
        *("evaluations/step-64-legacy.json", "evaluations/a.png", "videos/over-training.mp4"),
        *("sheets/a.png", "checkpoints/damaged-000000000064-1/state.json"),
        *("checkpoints/.step-000000000064.removed/policy.safetensors",),
        *("checkpoints/recovery-000000000064/training.safetensors",),
        *("CARD.md", "picture.png", CERTIFICATE),
        *(f"{EXPLANATIONS}/step-11-quick-0/{name}" for name in (PAGE, DATA, CERTIFICATE)),
        f"{EXPLANATIONS}/step-11-quick-0/certificate.txt",
        f"{EXPLANATIONS}/step-11-quick-0/{PARTS}/games-intact.npz",
    ):
        (old.path / name).parent.mkdir(parents=True, exist_ok=True)
        (old.path / name).write_bytes(b"")
    check_free(old.path, "overwrite")


def test_a_copy_of_edits_belongs_to_the_run_that_was_made_of_them(
    tmp_path: Path, recipe: RunRecipe
) -> None:
    run = Run.create(tmp_path / "run", recipe, "cpu", edited={"from": "other"})
    (run.path / "edits" / "maps").mkdir(parents=True)
    for name in ("edits.toml", "clicks.csv", "maps/00001.npy"):
        (run.path / "edits" / name).write_bytes(b"")
    check_free(run.path, "overwrite")


def test_a_run_behind_a_link_is_overwritten_where_it_lies(
    old: Run, tmp_path: Path, recipe: RunRecipe
) -> None:
    link = tmp_path / "link"
    link.symlink_to(old.path)
    folder = free_folder(link, "overwrite")
    new = make(folder, recipe, 5)
    hold(new.path)
    let_go(new.path)
    assert link.is_symlink()
    assert steps(link) == [5]
    assert names(tmp_path) == ["link", "run"]


def test_two_runs_made_at_once_are_one_and_a_line(tmp_path: Path, recipe: RunRecipe) -> None:
    make(tmp_path / "run", recipe)
    before = (tmp_path / "run" / META).read_bytes()
    assert "cannot be written" in complaint(lambda: make(tmp_path / "run", recipe))
    assert (tmp_path / "run" / META).read_bytes() == before
    assert names(tmp_path) == ["run"]
