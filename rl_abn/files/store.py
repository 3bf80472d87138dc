"""A data set's files: in a folder, or in a .zip that is read without unpacking it."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rl_abn.errors import RlAbnError, did_you_mean, printable, warn
from rl_abn.files.text import brief, kind_of

_UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)


class Entries(NamedTuple):
    """Names directly in a folder, sorted and without its path; hidden ones are left out."""

    folders: list[str]
    files: list[str]


class Store(ABC):
    """Files by name: relative to the store, with "/" as separator.

    Attributes:
        path: The folder or the .zip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._skipped: set[str] = set()

    @abstractmethod
    def entries(self, folder: str) -> Entries:
        """Lists a folder; "" is the store itself.

        Raises:
            RlAbnError: If it cannot be listed.
        """

    @abstractmethod
    def has(self, name: str) -> bool:
        """Returns whether the file exists."""

    @abstractmethod
    def read(self, name: str, most_bytes: int) -> bytes:
        """Reads a file.

        Raises:
            RlAbnError: If it is missing, damaged or larger than `most_bytes`.
        """

    def below(self, folder: str) -> list[str]:
        """Returns all files in a folder and its subfolders, sorted, with their full names."""
        folders, files = self.entries(folder)
        inner = (self.below(join(folder, name)) for name in folders)
        return sorted([*(join(folder, name) for name in files), *(n for ns in inner for n in ns)])

    def warn_of_skipped(self) -> None:
        """Says how many files and folders were left out of what was listed, if any were."""
        if self._skipped:
            n = len(self._skipped)
            warn(
                f"{self.place('')}: {n:,} name{'s are' if n > 1 else ' is'} not UTF-8 and skipped: "
                f"{named(sorted(self._skipped))}"
            )

    def place(self, name: str) -> str:
        """Returns a file's path as shown in messages."""
        return printable(str(self.path / name))


class FolderStore(Store):
    """A folder. Links are followed, except one to a folder above itself.

    Names that are not UTF-8 are skipped: no file that a run keeps could hold them.
    """

    def entries(self, folder: str) -> Entries:
        """Lists a folder."""
        place = self.path / folder
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(place) as found:
                for entry in found:
                    if not _is_utf8(entry.name):
                        self._skipped.add(join(folder, entry.name))
                    elif not _hidden(entry.name):
                        (folders if _leads_down(entry) else files).append(entry.name)
        except OSError as error:
            raise RlAbnError(
                f"{printable(str(place))}: cannot be listed: {error.strerror}"
            ) from None
        return Entries(sorted(folders), sorted(files))

    def has(self, name: str) -> bool:
        """Returns whether the file exists."""
        try:
            return (self.path / name).is_file()
        except (OSError, ValueError):  # a name that is invalid in the file system
            return False

    def read(self, name: str, most_bytes: int) -> bytes:
        """Reads a file."""
        path = self.path / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a pipe could block for ever
                raise ValueError("it is no regular file")
            if status.st_size > most_bytes:
                raise ValueError(f"it has {status.st_size:,} bytes, more than {most_bytes:,}")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or brief(error)
            raise RlAbnError(f"{self.place(name)}: cannot be read: {reason}") from None


class ZipStore(Store):
    """A .zip, read without unpacking; the size of members in memory is limited."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            hint = "; unpack it first" if ".tar" in path.name or path.suffix == ".tgz" else ""
            raise RlAbnError(
                f"{printable(str(path))}: expected a folder or a .zip, got {_lower(error)}{hint}"
            ) from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._tree: dict[str, tuple[set[str], set[str]]] = {"": (set(), set())}
        for info in self._zip.infolist():
            self._add(info)

    def _add(self, info: zipfile.ZipInfo) -> None:
        # Some Windows programs write backslashes, which the format forbids.
        name = info.filename.replace("\\", "/")
        is_folder = name.endswith("/")
        parts = name.removesuffix("/").split("/")
        if not _harmless(parts):
            raise RlAbnError(
                f"{printable(str(self.path))}: expected members that stay inside the .zip, "
                f"got {info.filename[:160]!a}"
            )
        if any(map(_hidden, parts)):
            return
        for depth, part in enumerate(parts):
            folder = "/".join(parts[:depth])
            is_file = depth == len(parts) - 1 and not is_folder
            self._tree.setdefault(folder, (set(), set()))[is_file].add(part)
        if is_folder:
            self._tree.setdefault("/".join(parts), (set(), set()))
        else:
            self._members[name] = info

    def entries(self, folder: str) -> Entries:
        """Lists a folder."""
        folders, files = self._tree.get(folder, ((), ()))
        return Entries(sorted(folders), sorted(files))

    def has(self, name: str) -> bool:
        """Returns whether the member exists."""
        return name in self._members

    def read(self, name: str, most_bytes: int) -> bytes:
        """Reads a member and verifies its checksum."""
        try:
            info = self._members[name]
            if info.file_size > most_bytes:
                raise ValueError(f"it has {info.file_size:,} bytes, more than {most_bytes:,}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("expected a member stored or deflated, got another compression")
            # zipfile never unpacks more than `file_size`, whatever the data contain.
            return self._zip.read(info)
        except KeyError:
            raise RlAbnError(f"{self.place(name)}: there is no such member") from None
        except _UNREADABLE as error:
            raise RlAbnError(
                f"{self.place(name)}: cannot be read: {printable(brief(error))}"
            ) from None


def open_store(path: str | Path) -> Store:
    """Opens a folder or a .zip.

    Raises:
        RlAbnError: If the path does not exist, with the nearest name, or is neither.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind is None and os.path.lexists(path):  # a pipe, or a link to nowhere or to itself
        raise RlAbnError(f"expected a folder or a .zip, got '{path}', which is neither")
    if kind is None:
        raise RlAbnError(f"expected a folder or a .zip, got '{path}': {nearest(path)}")
    return FolderStore(path) if kind == "a folder" else ZipStore(path)


def nearest(path: Path) -> str:
    """Returns a phrase with the most similar name beside a missing path."""
    missing = "there is no such file or folder"
    try:
        beside = [entry.name for entry in os.scandir(path.parent)]
    except OSError:
        return missing
    return did_you_mean(path.name, filter(str.isprintable, beside), missing)


def join(*parts: str) -> str:
    """Joins the parts of a name; empty parts are skipped."""
    return "/".join(filter(None, parts))


def named(names: Iterable[str], most: int = 3) -> str:
    """Returns the first `most` names as text, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(printable(name) for name in names[:most]) + more


def _hidden(name: str) -> bool:
    # macOS writes ._0001.jpg beside 0001.jpg, and a __MACOSX folder of these in a .zip.
    return name.startswith(".") or name == "__MACOSX"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # the file system's bytes, as Python escapes them
        return False
    return True


def _harmless(parts: list[str]) -> bool:
    return parts[0][1:2] != ":" and not any(
        part in ("", ".", "..") or re.search(r"[\x00-\x1f\x7f]", part) for part in parts
    )


def _leads_down(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir():
        return False
    # A link to a folder above itself would recurse without end.
    here = os.path.realpath(entry.path)
    above = os.path.realpath(os.path.dirname(entry.path))  # noqa: PTH120
    return not (entry.is_symlink() and f"{above}/".startswith(f"{here}/"))


def _lower(error: Exception) -> str:
    return re.sub("^File is not a zip file$", "a file that is no zip", brief(error))
