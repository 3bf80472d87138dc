"""A run folder belongs to one training at a time.

The file `.lock` in the folder says who has it, and is locked by the operating system (flock) as
long as that process lives: a killed one leaves the file, but not the lock. Where flock does not
reach, on some network file systems, the file's age tells: a training touches it every 20 seconds.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.errors import RlAbnError, printable, warn

LOCK = ".lock"
TOUCH_EVERY_S = 20.0
STALE_AFTER_S = 180.0

_TRIES = 3
_BOOT, _MOST_BYTES = Path("/proc/sys/kernel/random/boot_id"), 4096
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Holder(NamedTuple):
    """Who has a run folder, as `.lock` says.

    Attributes:
        host: Name of the machine.
        boot: Identifies the machine's running kernel; containers share it.
        pid: The process.
        started: When that process started, in the kernel's clock ticks.
        since: When it took the folder, for people.
    """

    host: str
    boot: str
    pid: int
    started: int
    since: str

    @classmethod
    def here(cls) -> Holder:
        """Returns this process."""
        pid = os.getpid()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), _boot_id(), pid, _started(pid), since)

    @classmethod
    def read(cls, descriptor: int) -> Holder | None:
        """Reads who has the file; None where it does not say."""
        try:
            data = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
            holder = cls(*(data[field] for field in cls._fields))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        types = [type(value) for value in holder]
        return holder if types == [str, str, int, int, str] else None

    @property
    def is_on_this_host(self) -> bool:
        """Whether it is, or was before a restart, on this machine."""
        return self.host == socket.gethostname() or (bool(self.boot) and self.boot == _boot_id())

    @property
    def lives(self) -> bool:
        """Whether the process runs, for one on this machine."""
        return self.boot == _boot_id() and 0 < self.started == _started(self.pid)

    def __str__(self) -> str:
        return printable(f"process {self.pid} on {self.host} since {self.since}")


class RunLock:
    """The lock of a run folder, held from the moment it is made.

    Args:
        folder: The run folder; it exists.

    Raises:
        RlAbnError: If another training has it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor = _open_locked(folder)
        self._is_released = threading.Event()
        self._toucher = threading.Thread(target=self._touch, daemon=True)
        self._toucher.start()

    @property
    def is_valid(self) -> bool:
        """Whether it is held, and the folder still where it was."""
        is_there = _same_file(self.folder / LOCK, self._descriptor)
        return is_there and not self._is_released.is_set()

    def release(self) -> None:
        """Gives the folder free; again does nothing."""
        if self._is_released.is_set():
            return
        self._is_released.set()
        self._toucher.join()
        path = self.folder / LOCK
        with suppress(OSError):
            if _same_file(path, self._descriptor):
                path.unlink()
        os.close(self._descriptor)

    def _touch(self) -> None:
        while not self._is_released.wait(TOUCH_EVERY_S):
            with suppress(OSError):
                os.utime(self._descriptor)


def holder_of(folder: Path) -> Holder | None:
    """Returns who has a run folder now, or None; changes nothing.

    A training of this process counts as well.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        holder = Holder.read(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            has_flock = True
        except BlockingIOError:
            return holder or Holder("an unknown host", "", 0, 0, "an unknown time")
        except OSError:
            has_flock = False
        return holder if _is_held(folder, holder, has_flock) else None
    finally:
        os.close(descriptor)


def _open_locked(folder: Path) -> int:
    """Opens and locks the file, and writes this process into it."""
    path = folder / LOCK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
        try:
            has_flock = _flock(folder, descriptor)
            if not _same_file(path, descriptor):
                os.close(descriptor)  # its holder ended and removed it just now
                continue
            holder = Holder.read(descriptor)
            if holder is not None and _is_held(folder, holder, has_flock):
                raise taken(folder, holder)
            if holder is not None and not holder.is_on_this_host:
                age = _age(folder)
                warn(f"{folder}: taken over from {holder}, which gave no sign for {age:.0f} s")
            content = json.dumps(Holder.here()._asdict(), indent=2) + "\n"
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content.encode(), 0)
            os.fsync(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
        except RlAbnError:
            os.close(descriptor)
            raise
        return descriptor


def _flock(folder: Path, descriptor: int) -> bool:
    """Locks an open file; returns whether the file system can."""
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise taken(folder, Holder.read(descriptor)) from None
            time.sleep(0.05)  # `holder_of` may just be asking
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            return False
        else:
            break
    return True


def _is_held(folder: Path, holder: Holder | None, has_flock: bool) -> bool:
    """Whether a holder whom no flock of this machine speaks for still has the folder."""
    if holder is None:
        return False
    if holder.is_on_this_host:
        return not has_flock and holder.lives
    return _age(folder) < STALE_AFTER_S


def taken(folder: Path, holder: Holder | None) -> RlAbnError:
    """Returns the error of a folder that another process has."""
    message = f"{folder}: expected a run that nobody trains or edits now, got one that "
    if holder is None:
        return RlAbnError(f"{message}another process has")
    if holder.is_on_this_host:
        return RlAbnError(f"{message}{holder} has; wait for it or stop it")
    return RlAbnError(
        f"{message}{holder} has (last sign {_age(folder):.0f} s ago); if it has ended, "
        f"try again {STALE_AFTER_S / 60:.0f} minutes after that, or remove {folder / LOCK}"
    )


def _age(folder: Path) -> float:
    """Seconds since a lock was touched, by the clock that also stamps a file made now."""
    probe = folder / f".lock.{os.getpid()}"
    try:
        touched = (folder / LOCK).stat().st_mtime
    except OSError:
        return math.inf
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:
        now = time.time()
    return max(0.0, now - touched)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _boot_id() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    """When a process started, in clock ticks after the start of the machine; 0 if unknown."""
    try:
        fields: list[Any] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
