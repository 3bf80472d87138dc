"""The run folders this process trains or edits: locked, and left in order whatever happens."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.runs.lock import RunLock, holder_of, taken
from rl_abn.runs.replacing import aside_of, settle
from rl_abn.runs.run import META

_HELD: dict[Path, RunLock | None] = {}  # None: a folder whose run was set aside, and none is yet


def hold(folder: Path) -> None:
    """Locks a run folder until `let_go` or the end of this process; again does nothing.

    Raises:
        RlAbnError: If another process trains or edits it, or it cannot be written.
    """
    key = _key(folder)
    lock = _HELD.get(key)
    if lock is None or not lock.is_valid:
        if lock is not None:
            lock.release()
        _HELD[key] = RunLock(folder)


def let_go(folder: Path) -> None:
    """Leaves a run folder in order and unlocks it; does nothing with one that is not held.

    A run that was set aside is put back where its successor has no checkpoint, and no status says
    "running" any more.
    """
    key = _key(folder)
    if key not in _HELD:
        return
    lock = _HELD.pop(key)
    try:
        settle(folder, mine=True)
        mend_status(folder, "interrupted")
    finally:
        if lock is not None:
            lock.release()


def check_not_held(folder: Path) -> None:
    """Refuses a folder that another process trains or edits; locks nothing.

    Raises:
        RlAbnError: With who has it.
    """
    if not is_held(folder) and (holder := holder_of(folder)) is not None:
        raise taken(folder, holder)


@contextmanager
def held(folder: Path, *, writes: bool = True) -> Iterator[None]:
    """Holds a run folder while it is trained or edited.

    Args:
        folder: The run folder.
        writes: Whether this process writes it: of several ranks, one does.

    Raises:
        RlAbnError: If another process trains or edits it, or it cannot be written.
    """
    if not writes:
        yield
        return
    hold(folder)
    try:
        yield
    finally:
        let_go(folder)


@contextmanager
def let_go_on_failure(folder: Path) -> Iterator[None]:
    """Leaves a folder in order where making a run of it fails."""
    try:
        yield
    except BaseException:
        let_go(folder)
        raise


def set_aside(folder: Path) -> None:
    """Sets a held run aside, to be replaced by one at the same place.

    Raises:
        RlAbnError: If it cannot be renamed.
    """
    key, aside = _key(folder), aside_of(folder)
    lock = _HELD[key]
    try:
        folder.rename(aside)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be renamed: {error.strerror}") from None
    _HELD[key] = None
    if lock is not None:
        lock.folder = aside
        lock.release()


def mend_status(folder: Path, status: str) -> None:
    """Changes the status of a run that is said to be running and is not."""
    with suppress(RlAbnError):
        meta = read_json(folder / META)
        if meta.get("status") == "running":
            write_output(folder / META, {**meta, "status": status})


def is_held(folder: Path) -> bool:
    """Whether this process trains or edits a folder, or is about to."""
    return _key(folder) in _HELD


def _key(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):  # links in a circle, or no name that there can be
        return folder.absolute()


@atexit.register
def _let_go_of_all() -> None:
    for folder in list(_HELD):
        with suppress(RlAbnError, OSError):
            let_go(folder)
