"""The agent that another one learns from: found, checked, and kept with the run that it teaches.

A run keeps a copy of its teacher's weights, a run folder `teacher/` with one checkpoint: a few
megabytes, and the run can be resumed and its student be compared wherever it goes, whatever becomes
of the original.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import Any, NamedTuple

import torch

from rl_abn.errors import RlAbnError
from rl_abn.recipes import Protocol, RunRecipe, TeacherTable
from rl_abn.rl.envs.two_view_vec_env import same_view
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.other_agent import read_other_agent
from rl_abn.runs import RECIPE, Run
from rl_abn.runs.origin import TEACHER, teacher_record
from rl_abn.runs.tensors import hash_of

FOLDER = "teacher"


class Teacher(NamedTuple):
    """An agent to learn from.

    Attributes:
        recipe: Of the run that it is, or would be.
        policy: In evaluation mode, on the CPU.
        record: Who it is, plain data: path, kind, agent, env, protocol, steps, sha256.
        view: How it is shown its student's games where it sees them otherwise; None where it sees
            what the student does.
    """

    recipe: RunRecipe
    policy: AttentionPolicy
    record: dict[str, Any]
    view: Protocol | None

    @property
    def name(self) -> str:
        """What to call it."""
        return f"teacher: {self.recipe.agent_name}"


def find_teacher(table: TeacherTable, student: RunRecipe) -> Teacher:
    """Reads a teacher and checks that it can teach a student.

    Args:
        table: Which one.
        student: The recipe of the run that learns.

    Raises:
        RlAbnError: If there is none, it is damaged, or plays another game or other actions.
    """
    if not table.path:
        raise RlAbnError("expected a teacher (--teacher RUN|ZIP, or teacher.path), got none")
    found = read_other_agent(table, student, TEACHER)
    view = _view(found.recipe, found.policy, student, table.path)
    return Teacher(found.recipe, found.policy, found.record, view)


def keep_teacher(run: Run, teacher: Teacher) -> None:
    """Copies a teacher into the run that it teaches, and writes down who it is.

    Raises:
        RlAbnError: If the run cannot be written.
    """
    folder = run.path / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    record, steps = teacher.record, teacher.record["steps"]
    imported = {"kind": "teacher", "file": record["path"], "steps": steps}
    more = {"status": "imported", "imported": imported, TEACHER: record}
    copy = Run.create(folder, teacher.recipe, "cpu", **more)
    copy.save_checkpoint(steps, teacher.policy.state_dict(), {}, {"num_timesteps": steps})
    run.update_meta(**{TEACHER: record})


def kept_teacher(run: Run) -> Teacher | None:
    """Reads the teacher that a run keeps; None where it has none.

    Raises:
        RlAbnError: If the copy is damaged, or not of the weights that the run learnt from.
    """
    folder = run.path / FOLDER
    if not (folder / RECIPE).is_file():
        return None
    copy = Run.open(folder)
    record = teacher_record(run) or teacher_record(copy)
    policy = load_policy(copy, copy.checkpoint(), torch.device("cpu"))
    found = hash_of(policy.state_dict())
    if record is None or record["sha256"] != found:
        expected = "a record of its teacher" if record is None else f"sha256 {record['sha256']}"
        raise RlAbnError(
            f"{folder}: expected the teacher that the run learns from ({expected}), "
            f"got weights of sha256 {found}; put them back, or use --on-exists new"
        )
    return Teacher(copy.recipe, policy, record, _view(copy.recipe, policy, run.recipe, str(folder)))


def secure_teacher(run: Run) -> None:
    """Makes sure that a run keeps the teacher that its recipe names; copies the original if not.

    Raises:
        RlAbnError: If it has vanished, is damaged, or is not the one that the run was begun with.
    """
    table, record = run.recipe.agent.teacher, teacher_record(run)
    if table is None:
        return
    why = "got none"
    try:
        kept = kept_teacher(run)
    except RlAbnError as error:  # damaged, or cut off by a kill
        kept, why = None, f"got another: {error}"
    if kept is not None:
        if record is None:
            run.update_meta(**{TEACHER: kept.record})
        return
    try:
        teacher = find_teacher(table, run.recipe)
    except RlAbnError as error:
        raise RlAbnError(
            f"{run.path / FOLDER}: expected the teacher's weights, {why}; and the original cannot "
            f"be used: {error}"
        ) from None
    if record is not None and record["sha256"] != teacher.record["sha256"]:
        raise RlAbnError(
            f"{table.path}: expected the teacher that the run was begun with, sha256 "
            f"{record['sha256']}, got other weights; use --on-exists new"
        )
    keep_teacher(run, teacher)


def own_teacher(run: Run) -> Teacher | None:
    """Returns the teacher of a run, if its copy or else the original is still there."""
    with suppress(RlAbnError):
        if (kept := kept_teacher(run)) is not None:
            return kept
    table, record = run.recipe.agent.teacher, teacher_record(run)
    with suppress(RlAbnError):
        if table is not None and record is not None:
            found = find_teacher(table, run.recipe)
            return found if found.record["sha256"] == record["sha256"] else None
    return None


def _view(
    recipe: RunRecipe, policy: AttentionPolicy, student: RunRecipe, path: str
) -> Protocol | None:
    """Returns how a teacher is shown its student's games; None where both see the same.

    Raises:
        RlAbnError: If it cannot be shown them.
    """
    theirs, ours = training_protocol(recipe), training_protocol(student)
    if not isinstance(theirs, Protocol) or not isinstance(ours, Protocol):
        if theirs != ours:
            raise RlAbnError(
                f"expected a teacher with the student's [preprocessing], got another ({path})"
            )
        return None
    if theirs.frame_skip != ours.frame_skip:
        raise RlAbnError(
            f"expected a teacher with the student's frame_skip = {ours.frame_skip}, got "
            f"{theirs.frame_skip} ({path})"
        )
    settings = policy.settings
    if settings.has_memory and settings.forget_at == "life" and not ours.life_loss_terminal:
        raise RlAbnError(
            "expected a train.protocol that ends an episode with a lost life, where the teacher's "
            f"memory is emptied (network.forget_at = 'life'), got '{student.protocol_name}'"
        )
    return None if same_view(theirs, ours) else theirs
