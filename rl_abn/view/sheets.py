"""Sheets of pictures in a run: what `record` drew, and what a translator's training did."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from rl_abn.view.library import FoundRun, Library, UnknownIdError

SHEETS = "sheets"
MOST_SHEETS = 200
MOST_BYTES = 2**26
_PNG = b"\x89PNG\r\n\x1a\n"


def list_sheets(found: FoundRun, library: Library) -> list[str]:
    """Returns the names of a run's sheets, numbers in them by size: the newest training is last."""
    try:
        paths = list((found.run.path / SHEETS).glob("*.png"))[: 2 * MOST_SHEETS]
    except OSError:
        return []
    names = sorted((path.name for path in paths if _is_sheet(path, library)), key=_by_numbers)
    return names[-MOST_SHEETS:]


def sheet_file(found: FoundRun, name: str, library: Library) -> Path:
    """Returns the file of a sheet.

    Raises:
        UnknownIdError: If the run has none of this name.
    """
    path = found.run.path / SHEETS / name
    if path.parent.name != SHEETS or path.suffix != ".png" or not _is_sheet(path, library):
        raise UnknownIdError(name)
    return path


def _is_sheet(path: Path, library: Library) -> bool:
    """Returns whether a path is a PNG file of a run that is served, not too large for a page."""
    with suppress(OSError):
        if path.is_file() and library.is_inside(path) and path.stat().st_size <= MOST_BYTES:
            with path.open("rb") as file:
                return file.read(len(_PNG)) == _PNG
    return False


def _by_numbers(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if i % 2 else (0, part) for i, part in enumerate(parts)]
