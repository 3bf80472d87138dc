"""A run that is overwritten is set aside until the new one has a checkpoint, and else put back.

Weights that a training begins with are no such checkpoint. It waits beside its folder under a
hidden name. A kill at any moment leaves enough to tell what is to be done, and the next command on
that folder does it (`settle`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rl_abn.errors import RlAbnError, say
from rl_abn.files.text import read_json
from rl_abn.runs.checkpoints import list_checkpoints, list_recoveries
from rl_abn.runs.contents import check_only_run
from rl_abn.runs.lock import holder_of


def aside_of(folder: Path) -> Path:
    """Returns where the run of a folder waits while another replaces it."""
    return _beside(folder, "replaced")


def settle(folder: Path, *, mine: bool = False) -> None:
    """Finishes what a killed or failed overwriting left; does nothing where there is nothing.

    Where the new run has a checkpoint the old one is removed, else the old one is put back.

    Args:
        folder: The run folder.
        mine: Whether this process may, though somebody trains in the folder: itself.

    Raises:
        RlAbnError: If the folder cannot be written.
    """
    if not folder.name or not os.path.lexists(aside := aside_of(folder)):
        return
    if not mine and holder_of(folder) is not None:
        return
    try:
        if replaces(folder):
            remove_replaced(folder)
            return
        if os.path.lexists(folder):
            folder.rename(_place_of_failed(folder))
        aside.rename(folder)
        shutil.rmtree(_beside(folder, "removed"), ignore_errors=True)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
    say(f"{folder}: the run that was there is back, as the new one has no checkpoint")


def _place_of_failed(folder: Path) -> Path:
    """Returns where a failed run goes: to be removed, unless it has files of others."""
    try:
        check_only_run(folder)
    except RlAbnError:
        names = (folder.with_name(f"{folder.name}-failed-{i}") for i in range(1, 10_000))
        kept = next(path for path in names if not os.path.lexists(path))
        say(f"{kept}: the run that failed is kept, as it has files of others")
        return kept
    removed = _beside(folder, "removed")
    shutil.rmtree(removed, ignore_errors=True)
    return removed


def replaces(folder: Path) -> bool:
    """Says whether a run has a checkpoint that the run it overwrites may be removed for.

    One of step 0 is what a training begins with, unless the run is an import, which has no other.
    """
    checkpoints = folder / "checkpoints"
    regular = list_checkpoints(checkpoints)
    if list_recoveries(checkpoints) or any(found.step > 0 for found in regular):
        return True
    return bool(regular) and _is_imported(folder)


def _is_imported(folder: Path) -> bool:
    try:
        return "imported" in read_json(folder / "meta.json")
    except RlAbnError:
        return False


def remove_replaced(folder: Path) -> None:
    """Removes the run that waits beside a folder, if there is one; failing to is no error."""
    aside = aside_of(folder)
    if os.path.lexists(aside):
        # Renamed first: what is half removed is never put back.
        removed = _beside(folder, "removed")
        shutil.rmtree(removed, ignore_errors=True)
        try:
            aside.rename(removed)
        except OSError:
            return
        shutil.rmtree(removed, ignore_errors=True)


def _beside(folder: Path, why: str) -> Path:
    """Returns a hidden name beside a folder, or beside where a link leads."""
    try:
        real = folder.resolve() if folder.is_symlink() else folder
    except OSError:  # no name that the file system would take
        real = folder
    return real.with_name(f".{real.name}.{why}")
