"""A campaign in a few files of a limited size, from which another machine goes on.

The files are one tar.gz, cut in parts: `cat pack.tar.gz.* | tar xz` is the campaign's folder. What
matters most comes first, and what there is no room for is left out by whole runs and named.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief

NAME = "pack.tar.gz"
_PARTIAL = ".pack-partial"


class Bundle(NamedTuple):
    """Files that are packed together or not at all.

    Attributes:
        name: What it is called where it is left out.
        files: Of the campaign's folder.
    """

    name: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.files)


class Packed(NamedTuple):
    """What was packed.

    Attributes:
        files: The parts.
        size: Their bytes.
        left_out: Names of the bundles that there was no room for.
    """

    files: tuple[Path, ...]
    size: int
    left_out: tuple[str, ...]


def pack(bundles: Iterable[Bundle], work: Path, out: Path, most_mb: float) -> Packed:
    """Packs bundles in their order, as many as there is room for.

    An older pack is there until the new one is whole.

    Args:
        bundles: What matters most first.
        work: The campaign's folder, which the files lie in.
        out: Where the parts go.
        most_mb: Limit of all parts together, in 10^6 bytes, before compression.

    Raises:
        RlAbnError: If they cannot be read or written.
    """
    partial, left_out, room = out / _PARTIAL, [], most_mb * 1e6
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with (
            _Parts(partial) as parts,
            gzip.GzipFile(fileobj=parts, mode="wb", compresslevel=1, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|") as archive,
        ):
            for bundle in bundles:
                if bundle.size > room:
                    left_out.append(bundle.name)
                    continue
                room -= bundle.size
                for file in bundle.files:
                    archive.add(file, file.relative_to(work), recursive=False)
        for old in _parts_in(out):
            old.unlink()
        for new in _parts_in(partial):
            new.rename(out / new.name)
        partial.rmdir()
    except (OSError, tarfile.TarError) as error:
        raise RlAbnError(f"{out}: cannot be packed into: {brief(error)}") from None
    files = tuple(_parts_in(out))
    return Packed(files, sum(file.stat().st_size for file in files), tuple(left_out))


def unpack(out: Path, work: Path) -> bool:
    """Unpacks the campaign's folder, if there is a pack and no such folder yet.

    Returns:
        Whether it was unpacked.

    Raises:
        RlAbnError: If the pack is damaged or cannot be unpacked; there is no folder then.
    """
    files = list(_parts_in(out))
    if not files or (work.is_dir() and any(work.iterdir())):
        return False
    partial = work.with_name(f"{work.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with _Joined(files) as joined, gzip.GzipFile(fileobj=joined) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as archive:
                archive.extractall(partial, filter="data")
            while unzipped.read(2**20):  # to its end, where the checksum is
                pass
        if work.is_dir():
            work.rmdir()
        partial.rename(work)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RlAbnError(
            f"{files[0].parent}: expected a whole {NAME}.*, got {len(files)} parts that cannot be "
            f"read: {brief(error)}"
        ) from None
    return True


def files_below(folder: Path, *, but: Iterable[str] = ()) -> Iterator[Path]:
    """Yields the files of a folder, sorted; links, hidden files and folders so named are left."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or path.name.startswith(".") or path.name in but:
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path


def _parts_in(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob(f"{NAME}.[0-9][0-9][0-9]")))


class _Parts(io.RawIOBase):
    """Writes files of a limited size, one after the other."""

    room_of_a_part = 15_000_000

    def __init__(self, folder: Path) -> None:
        self._folder, self._n, self._room = folder, 0, 0
        self._file: io.BufferedWriter | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        view = memoryview(data)
        while view:
            if self._room == 0:
                self._end()
                self._file = (self._folder / f"{NAME}.{self._n:03d}").open("wb")
                self._n, self._room = self._n + 1, self.room_of_a_part
            assert self._file is not None
            now = view[: self._room]
            self._file.write(now)
            self._room -= len(now)
            view = view[len(now) :]
        return len(data)

    def close(self) -> None:
        self._end()
        super().close()

    def _end(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


class _Joined(io.RawIOBase):
    """Reads files one after the other."""

    def __init__(self, files: list[Path]) -> None:
        self._left = list(files)
        self._file: io.BufferedReader | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._file is None:
                if not self._left:
                    return b""
                self._file = self._left.pop(0).open("rb")
            if data := self._file.read(size):
                return data
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()
