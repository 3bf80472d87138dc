"""Where a new run goes, and what happens to a run that is already there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rl_abn.errors import RlAbnError
from rl_abn.recipes import RunRecipe, TranslationRunRecipe, VisionRunRecipe
from rl_abn.runs.contents import check_only_run
from rl_abn.runs.holding import check_not_held, hold, is_held, set_aside
from rl_abn.runs.replacing import settle
from rl_abn.runs.run import check_is_run

OnExists = Literal["resume", "new", "overwrite"]
CHOICES = "resume, new or overwrite"


def default_folder(recipe: RunRecipe | VisionRunRecipe | TranslationRunRecipe) -> Path:
    """Returns runs/ENV/AGENT/seed-S."""
    return Path("runs", recipe.env_name, recipe.agent_name, f"seed-{recipe.seed}")


def is_taken(folder: Path) -> bool:
    """Says whether anything is at a path; an empty folder is nothing.

    What a killed overwriting left there is settled first.

    Raises:
        RlAbnError: If the file system would not take such a name, or it cannot be written.
    """
    settle(folder, mine=is_held(folder))
    try:
        return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None


def check_free(folder: Path, on_exists: OnExists | None, choices: str = CHOICES) -> None:
    """Refuses a folder that is taken where nothing says what to do; before any work is done.

    Args:
        folder: Where a new run should go.
        on_exists: What to do where a run is already.
        choices: What to name in the error.

    Raises:
        RlAbnError: If it is taken and `on_exists` is None, or is no run that may be overwritten.
    """
    if not is_taken(folder):
        return
    if on_exists is None:
        raise _taken(folder, choices)
    if on_exists == "overwrite":
        check_is_run(folder)
        check_only_run(folder)
        check_not_held(folder)


def free_folder(folder: Path, on_exists: OnExists | None, choices: str = CHOICES) -> Path:
    """Returns a folder that is not there yet, for a new run.

    Args:
        folder: Where the run should go.
        on_exists: "new" finds a free name beside it. "overwrite" sets the run that is there aside:
            it is removed once the new one has a checkpoint, and put back where that fails before.
        choices: What to name in the error where a run is there and nothing was said.

    Raises:
        RlAbnError: If something is there that was not to be, or is more than a run, or is trained
            now, and would be removed.
    """
    if not folder.name:
        raise RlAbnError(f"expected a run folder with a name, got '{folder}'")
    check_free(folder, on_exists, choices)
    if not is_taken(folder):
        return folder
    if on_exists == "new":
        numbers = (folder.with_name(f"{folder.name}-{i}") for i in range(2, 10_000))
        return next(path for path in numbers if not path.exists())
    if folder.is_symlink():
        folder = folder.resolve()
    hold(folder)
    set_aside(folder)
    return folder


def _taken(folder: Path, choices: str) -> RlAbnError:
    return RlAbnError(
        f"expected a new run folder, got '{folder}', which exists; add --on-exists {choices}"
    )
