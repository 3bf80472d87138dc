"""From whom an agent has what it knows: its teacher, and the agent whose weights it began with.

`meta.json` says who they were: path, kind, agent, env, protocol, steps, and the SHA-256 of their
weights. What an agent began with had perhaps a teacher itself, which is written down with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.text import read_json
from rl_abn.runs.run import META, Run

TEACHER, INIT = "teacher", "init"  # entries of meta.json, and tables of the recipe
TAUGHT_BY = "taught_by"  # in a record of INIT


def teacher_record(run: Run) -> dict[str, Any] | None:
    """Returns who taught a run; None for nobody, or where `meta.json` is damaged."""
    return _record(run, TEACHER)


def init_record(run: Run) -> dict[str, Any] | None:
    """Returns which agent a run began with; None for none, or where `meta.json` is damaged."""
    return _record(run, INIT)


def with_origin(record: Mapping[str, Any], run: Run | None) -> dict[str, Any]:
    """Returns the record of an agent to begin with, and of what its own run had come from."""
    if run is None:
        return dict(record)
    earlier = {TAUGHT_BY: teacher_record(run), INIT: init_record(run)}
    return {**record, **{entry: found for entry, found in earlier.items() if found is not None}}


def taught_by(record: Mapping[str, Any]) -> str:
    """Returns who taught an agent, in a line, of what `teacher_record` returned."""
    return f"taught by {_described(record)}"


def begun_with(record: Mapping[str, Any]) -> str:
    """Returns which agent another began with, in a line, of what `init_record` returned."""
    said = [f"begun with {_described(record)}"]
    if (teacher := _checked(record.get(TAUGHT_BY))) is not None:
        said.append(taught_by(teacher))
    if (before := _checked(record.get(INIT))) is not None:
        said.append(begun_with(before))
    return ", itself ".join(said[:2]) + "".join(f", and {line}" for line in said[2:])


def was_taught(record: Mapping[str, Any] | None) -> bool:
    """Returns whether a teacher taught the agent that a run began with, or one before it."""
    if record is None:
        return False
    teacher, before = _checked(record.get(TAUGHT_BY)), _checked(record.get(INIT))
    return teacher is not None or was_taught(before)


def origin_lines(run: Run) -> list[str]:
    """Returns who taught a run and which agent it began with, a line each; none for neither."""
    teacher, init = teacher_record(run), init_record(run)
    said = [] if teacher is None else [taught_by(teacher)]
    return said if init is None else [*said, begun_with(init)]


def _record(run: Run, entry: str) -> dict[str, Any] | None:
    try:
        record = read_json(run.path / META).get(entry)
    except RlAbnError:
        return None
    return _checked(record)


def _checked(record: Any) -> dict[str, Any] | None:
    """Returns a record as it was read from JSON, or None for anything else."""
    texts = ("path", "kind", "agent", "env", "protocol", "sha256")
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in texts):
        return None
    return record if type(record.get("steps")) is int else None


def _described(record: Mapping[str, Any]) -> str:
    steps = f"{record['steps']:,} steps" if record["steps"] else "steps unknown"
    return (
        f"{printable(record['agent'])} on {printable(record['env'])} ({steps}), "
        f"sha256 {printable(record['sha256'][:12])}, {printable(record['path'])}"
    )
