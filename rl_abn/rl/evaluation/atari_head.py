"""Reads trials of Atari-HEAD: games that people played, and where they looked at each frame.

Zhang et al. (AAAI 2020). A trial is a table `NAME.txt`, a line a frame, and its frames
`FRAME_ID.png` of 160x210 pixels, in `NAME.tar.bz2` or unpacked in the folder `NAME/`. Nothing is
unpacked to the disk, and what an archive can make this program read is bounded.
"""

from __future__ import annotations

import bz2
import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.images import decode
from rl_abn.files.stamp import file_stamp
from rl_abn.files.store import FolderStore, nearest
from rl_abn.files.text import brief, kind_of, read_text
from rl_abn.recipes.ale_games import list_games

SCREEN = (210, 160)
HEADER = "frame_id"
ARCHIVE = ".tar.bz2"
_LEADING_FIELDS = 6  # from frame_id to action; gaze positions follow
_MOST_TABLE_BYTES = 512 * 2**20
_MOST_FRAME_BYTES = 2**20
_MOST_MEMBER_BYTES = 16 * 2**20
_MOST_ARCHIVE_BYTES = 4 * 2**30
_MOST_MEMBERS = 400_000
_UNREADABLE = (OSError, EOFError, ValueError, OverflowError, tarfile.TarError)


class TrialFrame(NamedTuple):
    """A frame of a trial.

    Attributes:
        name: Its frame_id; the picture is NAME.png.
        episode: Which game of the trial, as the table has it.
        positions: Where the person looked while it was shown, x and y in pixels, float64 [G, 2];
            those off the screen are left out.
    """

    name: str
    episode: str
    positions: np.ndarray


class Trial(NamedTuple):
    """The first frames of a trial.

    Attributes:
        table: Its table.
        source: The folder or the archive of its frames.
        frames: In the order of the table.
    """

    table: Path
    source: Path
    frames: tuple[TrialFrame, ...]

    @property
    def name(self) -> str:
        """What to call it."""
        return self.table.stem


def find_tables(path: Path) -> list[Path]:
    """Returns the tables of the trials that a path stands for, sorted.

    Args:
        path: A folder of trials, a trial's table, its archive, or the folder of its frames.

    Raises:
        RlAbnError: If there are none.
    """
    kind = kind_of(path)
    if kind is None:
        raise RlAbnError(f"expected a folder of Atari-HEAD, got '{path}': {nearest(path)}")
    if kind == "a file":
        archived = path.name.endswith(ARCHIVE)
        return [path.with_name(path.name.removesuffix(ARCHIVE) + ".txt") if archived else path]
    if found := _tables_in(path):
        return found
    whole = path.resolve()
    if _is_table(beside := whole.with_name(f"{whole.name}.txt")):
        return [beside]
    inner = (each for each in sorted(path.iterdir()) if each.is_dir())
    near = next((each for each in islice(inner, 100) if _tables_in(each)), None)
    hint = "" if near is None else f"; did you mean '{near}'?"
    raise RlAbnError(
        f"expected trials of Atari-HEAD (NAME.txt beside NAME{ARCHIVE} or the folder NAME), "
        f"got none in '{path}'{hint}"
    )


def _tables_in(folder: Path) -> list[Path]:
    try:
        return [each for each in sorted(folder.glob("*.txt")) if _is_table(each)]
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be listed: {error.strerror}") from None


def _is_table(path: Path) -> bool:
    """Whether a file begins as a trial's table does; a data set has other texts too."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(HEADER)) == HEADER.encode()
    except OSError:
        return False


def check_game(table: Path, rom: str, title: str) -> None:
    """Refuses a trial that lies in a folder named as another game, as the data set's folders are.

    Args:
        table: The trial's.
        rom: The agent's game among ale_py's ROMs.
        title: Its name for display.

    Raises:
        RlAbnError: If it does.
    """
    folder = table.resolve().parent.name
    plain = _plain(folder)
    if plain != _plain(rom) and plain in map(_plain, list_games()):
        raise RlAbnError(
            f"expected trials of {title}, the agent's game, got those of '{printable(folder)}' "
            f"by their folder's name: {printable(str(table))}"
        )


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def read_trial(table: Path, most_frames: int) -> Trial:
    """Reads a trial's table and finds its frames.

    Args:
        table: The table.
        most_frames: Only so many frames from the beginning.

    Raises:
        RlAbnError: If the table is none, or the frames are not there.
    """
    try:
        lines = read_text(table, _MOST_TABLE_BYTES).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or brief(error)
        raise RlAbnError(
            f"{printable(str(table))}: expected a table of Atari-HEAD, got {reason}"
        ) from None
    if not lines or not lines[0].startswith(HEADER):
        raise RlAbnError(
            f"{printable(str(table))}: expected a first line that begins with '{HEADER}'"
        )
    rows = ((n, line) for n, line in enumerate(lines[1:], 2) if line.strip())
    frames = tuple(_frame(table, n, line) for n, line in islice(rows, most_frames))
    if not frames:
        raise RlAbnError(f"{printable(str(table))}: expected a line a frame, got none")
    folder = table.with_suffix("")
    archive = table.with_name(table.stem + ARCHIVE)
    for source, kind in ((folder, "a folder"), (archive, "a file")):
        if kind_of(source) == kind:
            return Trial(table, source, frames)
    raise RlAbnError(
        f"{printable(str(table))}: expected its frames beside it, in {archive.name} or the folder "
        f"{folder.name}, got neither"
    )


def stamp_of(trial: Trial) -> str:
    """Returns what tells whether a trial's table or frames are others than they were."""
    found = hashlib.sha256(repr([(f.name, f.episode, f.positions.tolist()) for f in trial.frames])
                           .encode())  # fmt: skip
    whole = kind_of(trial.source) == "a file"
    files = [trial.source] if whole else [trial.source / f"{f.name}.png" for f in trial.frames]
    for file in files:
        if (stamp := file_stamp(file)) is not None:
            found.update(repr((file.name, *stamp)).encode())
    return found.hexdigest()


def _frame(table: Path, number: int, line: str) -> TrialFrame:
    name, *fields = line.split(",")
    place = f"{printable(str(table))}, line {number}"
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}", name):
        raise RlAbnError(f"{place}: expected the name of a frame, got {name[:80]!a}")
    texts = fields[_LEADING_FIELDS - 1 :]
    if not texts or texts == ["null"]:
        return TrialFrame(name, fields[0] if fields else "", np.zeros((0, 2)))
    try:
        values = np.array(texts, dtype=np.float64)
    except ValueError:
        values = np.zeros(1)
    if len(values) % 2 or not np.isfinite(values).all():
        raise RlAbnError(f"{place}: expected pairs of x and y")
    pairs = values.reshape(-1, 2)
    height, width = SCREEN
    inside = ((pairs >= 0) & (pairs < np.array([width, height]))).all(axis=1)
    return TrialFrame(name, fields[0], pairs[inside])


def read_pictures(
    trial: Trial, names: Sequence[str], tick: Callable[[int], None] | None = None
) -> Callable[[str], np.ndarray]:
    """Reads frames of a trial.

    Args:
        trial: Whose.
        names: Which.
        tick: Told how many of them were found in the archive, now and then.

    Returns:
        A function from a name of these to the frame, uint8 RGB [210, 160, 3].

    Raises:
        RlAbnError: If a frame is missing, or the archive damaged, cut off or hostile; the function
            raises it for a frame that is no picture of this size.
    """
    place = printable(str(trial.source))
    if kind_of(trial.source) == "a folder":
        store = FolderStore(trial.source)
        there = set(store.entries("").files)
        _check_complete(place, names, {name.removesuffix(".png") for name in there})
        return lambda name: _decoded(place, name, store.read(f"{name}.png", _MOST_FRAME_BYTES))
    wanted, found = set(names), {}
    try:
        for name, data in _members(trial.source, wanted):
            found[name] = data
            if tick is not None and len(found) % 256 == 0:
                tick(256)
            if len(found) == len(wanted):
                break
    except _UNREADABLE as error:
        cut = isinstance(error, EOFError) or "unexpected end" in str(error)
        reason = "one that is cut off" if cut else printable(brief(error))
        raise RlAbnError(f"{place}: expected an archive of frames, got {reason}") from None
    _check_complete(place, names, found.keys())
    return lambda name: _decoded(place, name, found[name])


def _check_complete(place: str, names: Sequence[str], there: Any) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        more = f" nor {len(missing) - 1:,} others" if len(missing) > 1 else ""
        raise RlAbnError(
            f"{place}: expected the frames of the table, got no {missing[0]}.png{more}"
        )


def _decoded(place: str, name: str, data: bytes) -> np.ndarray:
    try:
        picture = decode(data)
    except ValueError as error:
        raise RlAbnError(f"{place}: {name}.png: {error}") from None
    if picture.shape[:2] != SCREEN:
        height, width = picture.shape[:2]
        raise RlAbnError(
            f"{place}: {name}.png: expected a frame of {SCREEN[1]}×{SCREEN[0]} pixels, "
            f"got {width}×{height}"
        )
    return picture


class _Bounded:
    """An archive's bytes as they are decompressed, of which only so many may come."""

    def __init__(self, file: bz2.BZ2File) -> None:
        self._file = file
        self._all, self._member = _MOST_ARCHIVE_BYTES, _MOST_MEMBER_BYTES

    def read(self, size: int = -1) -> bytes:
        """Returns up to `size` bytes."""
        data = self._file.read(size)
        self._all -= len(data)
        self._member -= len(data)
        if self._all < 0:
            raise ValueError(f"more than {_MOST_ARCHIVE_BYTES:,} bytes")
        if self._member < 0:
            raise ValueError(f"a member of more than {_MOST_MEMBER_BYTES:,} bytes")
        return data

    def next_member(self) -> None:
        """Begins to count a member."""
        self._member = _MOST_MEMBER_BYTES


def _members(archive: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yields names and bytes of the wanted frames, in the archive's order, without unpacking it."""
    found: set[str] = set()
    with bz2.open(archive) as file:
        bounded = _Bounded(file)
        with tarfile.open(fileobj=bounded, mode="r|") as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar):
                if count >= _MOST_MEMBERS:
                    raise ValueError(f"more than {_MOST_MEMBERS:,} members")
                bounded.next_member()
                parts = member.name.split("/")
                if member.name.startswith("/") or ".." in parts:
                    raise ValueError(f"a member that leads outside, {member.name[:80]!a}")
                if not (member.isfile() or member.isdir()):
                    raise ValueError(f"a member that is no file, {member.name[:80]!a}")
                name = parts[-1].removesuffix(".png")
                if name == parts[-1] or name not in wanted or name in found:
                    continue
                if member.size > _MOST_FRAME_BYTES:
                    raise ValueError(f"{name}.png of {member.size:,} bytes")
                data = tar.extractfile(member)
                assert data is not None
                found.add(name)
                yield name, data.read()
