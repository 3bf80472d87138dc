"""The trained agents that ship with the package: run folders under `agents/trained/`, by name."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rl_abn.errors import RlAbnError
from rl_abn.files.text import kind_of
from rl_abn.recipes.lookup import recipe_folder
from rl_abn.runs.run import META, RECIPE, check_is_run

AGENTS = recipe_folder("agents") / "trained"
CARD = "CARD.md"


def list_shipped() -> list[str]:
    """Returns the names of the agents that ship with the package, such as "breakout/ppo_abn"."""
    return sorted(
        recipe.parent.relative_to(AGENTS).as_posix() for recipe in AGENTS.glob(f"*/*/{RECIPE}")
    )


def summary_of(name: str) -> str:
    """Returns what a shipped agent's card says of it in a line."""
    lines = (AGENTS / name / CARD).read_text("utf-8").splitlines()
    return next(line for line in lines if line and not line.startswith("#"))


def is_shipped(path: Path) -> bool:
    """Returns whether a folder ships with the package."""
    return path.resolve().is_relative_to(AGENTS.resolve())


def find_run(run: str | Path) -> Path:
    """Returns the run folder of a path, or of a name of `list_shipped`, to read from.

    A run that is there goes before an agent of the same name; a folder that is no run does not.

    Raises:
        RlAbnError: If there is neither, with the nearest run or name.
    """
    path, names = Path(run).expanduser(), list_shipped()
    if str(run) in names and kind_of(path / RECIPE) != "a file":
        return AGENTS / str(run)
    check_is_run(path, names=names)
    return path


def own_run(run: Path) -> Path:
    """Returns the run folder of a path or a shipped agent's name, to read from and write to.

    What ships with the package stays as it came: the agent is copied to runs/GAME/AGENT/shipped,
    where its videos, evaluations and recordings go; a copy that is there already is used again.

    Raises:
        RlAbnError: If there is no such run, or the copy cannot be written.
    """
    found = find_run(run)
    return _copy_of(found) if is_shipped(found) else found


def _copy_of(shipped: Path) -> Path:
    for target in _places(Path("runs") / shipped.relative_to(AGENTS) / "shipped"):
        kind = kind_of(target)
        if kind is None:
            _copy(shipped, target)
            return target
        if kind == "a folder" and _is_copy(target, shipped):
            return target
    raise RlAbnError(f"expected room for a copy of {shipped.name} in runs/, got 10,000 others")


def _places(first: Path) -> Iterator[Path]:
    """Yields where a copy may lie: another one may be of another version of the package."""
    yield first
    for number in range(2, 10_000):
        yield first.with_name(f"{first.name}-{number}")


def _is_copy(folder: Path, shipped: Path) -> bool:
    """Whether a folder holds what the shipped agent consists of, whatever was added to it."""
    try:
        return all(
            filecmp.cmp(folder / file.relative_to(shipped), file, shallow=False)
            for file in shipped.rglob("*")
            if file.is_file() and (file.name in (RECIPE, META) or "checkpoints" in file.parts)
        )
    except OSError:
        return False


def _copy(shipped: Path, target: Path) -> None:
    # Under a hidden name until it is whole, as every run is made.
    partial = target.with_name(f".{target.name}.partial.{os.getpid()}")
    try:
        shutil.copytree(shipped, partial, copy_function=shutil.copyfile)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RlAbnError(f"{target}: cannot be written: {error.strerror or error}") from None
