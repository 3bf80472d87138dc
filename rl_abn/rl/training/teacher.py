"""The agent that another one learns from: found, checked, and kept with the run that it teaches.

A run keeps a copy of its teacher's weights, a run folder `teacher/` with one checkpoint: a few
megabytes, and the run can be resumed and its student be compared wherever it goes, whatever becomes
of the original.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.text import read_json
from rl_abn.recipes import (
    EnvRecipe,
    GymnasiumRecipe,
    Protocol,
    RunRecipe,
    TeacherTable,
    load_agent,
    override,
)
from rl_abn.rl.envs.make import action_names
from rl_abn.rl.envs.two_view_vec_env import same_view
from rl_abn.rl.interchange.imported_run import ImportedAgent
from rl_abn.rl.interchange.mask_a3c import (
    AGENT as MASK_A3C,
)
from rl_abn.rl.interchange.mask_a3c import mask_a3c_agent, memory_setting, read_mask_a3c
from rl_abn.rl.interchange.sb3_import import is_cnn_policy, read_sb3, sb3_agent
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.auto_settings import settle_imported
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import META, RECIPE, Run
from rl_abn.runs.shipped import find_run
from rl_abn.runs.tensors import hash_of

FOLDER = "teacher"
RECORD = "teacher"  # the entry of meta.json
_CNN = "ppo_cnn"


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
    path = Path(table.path).expanduser()
    if path.is_file():
        kind, agent = _read_file(path, table, student)
        policy = agent.load(path)
        recipe, steps = agent.recipe, agent.steps
        _check_game(recipe, student, table.path)
    else:
        run = Run.open(_run_folder(table.path))
        found = run.checkpoint(None if table.checkpoint == "newest" else table.checkpoint)
        kind, recipe, steps = "run", run.recipe, found.step
        _check_game(recipe, student, table.path)  # before its network is made
        policy = load_policy(run, found, torch.device("cpu"))
    policy.set_training_mode(False)
    record = {
        "path": table.path,
        "kind": kind,
        "agent": recipe.agent_name,
        "env": recipe.env_name,
        "protocol": recipe.protocol_name,
        "steps": steps,
        "sha256": hash_of(policy.state_dict()),
    }
    return Teacher(recipe, policy, record, _view(recipe, policy, student, table.path))


def keep_teacher(run: Run, teacher: Teacher) -> None:
    """Copies a teacher into the run that it teaches, and writes down who it is.

    Raises:
        RlAbnError: If the run cannot be written.
    """
    folder = run.path / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    record, steps = teacher.record, teacher.record["steps"]
    imported = {"kind": "teacher", "file": record["path"], "steps": steps}
    more = {"status": "imported", "imported": imported, RECORD: record}
    copy = Run.create(folder, teacher.recipe, "cpu", **more)
    copy.save_checkpoint(steps, teacher.policy.state_dict(), {}, {"num_timesteps": steps})
    run.update_meta(**{RECORD: record})


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
            run.update_meta(**{RECORD: kept.record})
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


def teacher_record(run: Run) -> dict[str, Any] | None:
    """Returns who taught a run, as `meta.json` has it; None for nobody, or where it is damaged."""
    try:
        record = read_json(run.path / META).get(RECORD)
    except RlAbnError:
        return None
    texts = ("path", "kind", "agent", "env", "protocol", "sha256")
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in texts):
        return None
    return record if type(record.get("steps")) is int else None


def taught_by(record: Mapping[str, Any]) -> str:
    """Returns who taught an agent, in a line, of what `teacher_record` returned."""
    steps = f"{record['steps']:,} steps" if record["steps"] else "steps unknown"
    return (
        f"taught by {printable(record['agent'])} on {printable(record['env'])} ({steps}), "
        f"sha256 {printable(record['sha256'][:12])}, {printable(record['path'])}"
    )


def _run_folder(path: str) -> Path:
    try:
        return find_run(path)
    except RlAbnError as error:
        raise RlAbnError(f"teacher: {error}") from None


def _read_file(path: Path, table: TeacherTable, student: RunRecipe) -> tuple[str, ImportedAgent]:
    """Reads a zip of stable-baselines3, or published weights of Mask-Attention A3C."""
    if _is_sb3_zip(path):
        weights, steps = read_sb3(path)
        name = table.agent or (_CNN if is_cnn_policy(weights) else "")
        if not name:
            raise RlAbnError(
                f"{path}: expected the agent recipe that it was trained with "
                "(--set teacher.agent=NAME), got none; the zip does not say"
            )
        recipe = _recipe_of_file(name, student, ())
        return "sb3", sb3_agent(path, recipe, weights, steps)
    published = read_mask_a3c(path)
    recipe = _recipe_of_file(table.agent or MASK_A3C, student, [memory_setting(published)])
    return "mask-a3c", mask_a3c_agent(path, recipe, published, 0)


def _is_sb3_zip(path: Path) -> bool:
    if path.suffix == ".zip":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "policy.pth" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _recipe_of_file(name: str, student: RunRecipe, settings: Any) -> RunRecipe:
    """Returns the recipe of an agent that is read from a file, in its student's game.

    The file says neither game nor protocol. It is the student's protocol, unless the recipe's own
    shows other observations.
    """
    agent, _ = override(load_agent(name), student.env, settings)
    recipe = student.model_copy(update={"agent_name": Path(name).stem, "agent": agent, "seed": 0})
    if isinstance(student.env, EnvRecipe):
        own, theirs = training_protocol(recipe), training_protocol(student)
        assert isinstance(own, Protocol)
        assert isinstance(theirs, Protocol)
        if same_view(own, theirs):
            train = agent.train.model_copy(update={"protocol": student.agent.train.protocol})
            recipe = recipe.model_copy(update={"agent": agent.model_copy(update={"train": train})})
    return settle_imported(recipe)


def _check_game(teacher: RunRecipe, student: RunRecipe, path: str) -> None:
    """Checks that two agents play the same game with the same actions.

    Raises:
        RlAbnError: If not.
    """
    if _game_of(teacher) != _game_of(student):
        raise RlAbnError(
            f"expected a teacher of {student.env.game.title}, got one of "
            f"{teacher.env.game.title} ({path})"
        )
    theirs, ours = _actions(teacher), _actions(student)
    if theirs != ours:
        raise RlAbnError(
            f"expected a teacher with the student's {len(ours)} actions, got one with "
            f"{len(theirs)} ({path}); the student's train.protocol is "
            f"'{student.protocol_name}', the teacher's '{teacher.protocol_name}'"
        )


def _game_of(recipe: RunRecipe) -> Any:
    env = recipe.env
    if isinstance(env, GymnasiumRecipe):
        return env.game.id, env.options
    return env.game.rom


def _actions(recipe: RunRecipe) -> list[str]:
    return action_names(recipe.env, training_protocol(recipe))


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
