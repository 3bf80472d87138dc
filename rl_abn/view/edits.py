"""Edits of maps that are painted in the page, kept in the run for `rl-abn train --edits`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.files.text import kind_of
from rl_abn.map_editing.edit_files import TABLE, read_edits, write_edits
from rl_abn.map_editing.edits import Edit, Edits
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Run
from rl_abn.view.agents import Asked
from rl_abn.view.bodies import Body
from rl_abn.view.library import label_of
from rl_abn.view.painted import read_painted

EDITS = "edits"
MOST_ITEMS = 256
MORE_STEPS = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def save_edits(asked: Asked, find_run: Callable[[], Run], data: dict[str, Any]) -> dict[str, Any]:
    """Keeps painted maps: {"name", "items": [{"step", "map"}]}.

    A map that is not painted is the agent's own at that step. What the agent saw is kept with it,
    so that the set stands alone.

    Args:
        asked: The episode and its agent.
        find_run: Returns the run to keep them in; called where nothing is wrong with them.
        data: What is asked.

    Returns:
        For JSON: where it was "saved", and the next "command".

    Raises:
        RlAbnError: If an item is wrong, the agent's maps cannot be edited, or nothing can be
            written.
    """
    body = Body(data, ("name", "items"))
    check_name(body.data.get("name"))
    if not asked.maps.abilities.paintable:
        raise RlAbnError(
            "expected an agent whose maps can be edited, got one with mechanism "
            f"'{asked.agent.policy.settings.mechanism}'"
        )
    of: dict[str, Edit] = {}
    for item in body.items("items", MOST_ITEMS):
        fields = Body(item, ("step", "map"), "an item")
        step = fields.whole("step", 0, asked.opened.episode.n_steps - 1)
        picture = f"{asked.opened.found.path.name}, step {step}"
        if picture in of:
            raise RlAbnError(f"expected one item a step, got two of step {step:,}")
        painted = read_painted(fields.data.get("map"), asked.maps)
        with asked.lock:
            moment = asked.moment(step)
            maps = painted.replace(moment.own.map)[0].float().cpu().numpy().clip(0.0, 1.0)
            seen = moment.observation[0].cpu().numpy()
        of[picture] = Edit(map=maps.astype(np.float32), observation=seen)
    return keep_edits(find_run(), body.data["name"], Edits(of))


def keep_edits(run: Run[Any], name: Any, edits: Edits) -> dict[str, Any]:
    """Writes a set of edits into edits/ of a run, beside what is there.

    Returns:
        For JSON: where it was "saved", and the next "command".

    Raises:
        RlAbnError: If the name is none, or nothing can be written.
    """
    check_name(name)
    check_no_link(run.path / EDITS)
    folder = _free(run.path / EDITS / name)
    write_edits(folder, edits)
    return _shown(run, folder, len(edits.of))


def check_name(name: Any) -> None:
    """Refuses a name that is no plain word.

    Raises:
        RlAbnError: If it is another.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        got = f"{name[:60]!a}" if isinstance(name, str) else "none"
        raise RlAbnError(f"expected a name of letters, digits, - and _, got {got}")


def list_edits(run: Run[Any]) -> list[dict[str, Any]]:
    """Returns the edits that a run keeps, for JSON; what cannot be read is left out."""
    found = []
    for table in sorted((run.path / EDITS).glob(f"*/{TABLE}")):
        try:
            found.append(_shown(run, table.parent, len(read_edits(table.parent).of)))
        except RlAbnError:
            continue
    return found


def check_no_link(folder: Path) -> None:
    """Refuses to write through a link, which could lead anywhere.

    Raises:
        RlAbnError: If it is one.
    """
    if folder.is_symlink():
        raise RlAbnError(f"{folder}: expected a folder to write to, got a link")


def _shown(run: Run[Any], folder: Path, n: int) -> dict[str, Any]:
    return {
        "name": folder.name,
        "saved": label_of(folder),
        "items": n,
        "command": _command(run, folder),
    }


def _command(run: Run[Any], folder: Path) -> str | None:
    """Returns the training that goes on towards the edits; None for imported weights."""
    if isinstance(run.recipe, VisionRunRecipe):
        words = ["rl-abn", "vision", "edit", label_of(run.path), "--edits", label_of(folder)]
        return shlex.join(words)
    if run.is_imported:
        return None
    recipe = run.recipe
    trained = max([recipe.agent.train.steps, *(point.step for point in run.checkpoints)])
    words = ["rl-abn", "train", "--env", recipe.env_name, "--agent", recipe.agent_name]
    words += ["--seed", str(recipe.seed), "--out", label_of(run.path), "--on-exists", "resume"]
    words += ["--steps", str(trained + MORE_STEPS), "--edits", label_of(folder)]
    return shlex.join(words)


def _free(folder: Path) -> Path:
    if kind_of(folder) is None and not folder.is_symlink():
        return folder
    numbers = (folder.with_name(f"{folder.name}-{i}") for i in range(2, 10_000))
    return next(path for path in numbers if kind_of(path) is None and not path.is_symlink())
