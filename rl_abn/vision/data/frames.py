"""The frames of a driving log: where their pictures lie, and which were recorded in one go."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise

import numpy as np

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.images import is_picture
from rl_abn.files.store import Store, join

# As the Udacity simulator names pictures: center_2018_07_16_17_11_43_382.jpg.
_TIME = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{3})(?=\.)")
_GAP_S = 1.0
_GAP_STEPS = 10  # times the usual time between two frames


class FrameFinder:
    """Finds the pictures that a log names, often on another machine.

    Args:
        store: Where the log lies.
        folder: The folder of the log in there.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder

    def find(self, written: str) -> str | None:
        """Returns a picture's name in the store; None where it is missing.

        A path is taken from the log's folder; if nothing is there, the picture below that folder
        that has most of the path's last parts in common, if it is one alone.

        Raises:
            RlAbnError: If the picture lies outside the store: a log from elsewhere decides about
                no other files than those that came with it.
        """
        parts = [part for part in re.split(r"[\\/]+", written) if part not in ("", ".")]
        if not parts:
            return None
        relative = posixpath.normpath(join(self._folder, *parts))
        inside = relative != ".." and not relative.startswith("../")
        if inside and self._store.has(relative):
            return relative
        found = self._same_tail(parts)
        outside = written if written.startswith("/") else relative
        if found is None and (outside == written or not inside) and self._store.has(outside):
            raise RlAbnError(
                f"{self._store.place(self._folder)}: expected pictures in the log's folder, got "
                f"'{printable(written)}'; a link there to their folder allows it: ln -s FOLDER"
            )
        return found

    def _same_tail(self, parts: list[str]) -> str | None:
        alike = self._by_file.get(parts[-1], [])
        common = [_common_tail(parts, name.split("/")) for name in alike]
        best = max(common, default=0)
        return alike[common.index(best)] if common.count(best) == 1 else None

    @cached_property
    def _by_file(self) -> dict[str, list[str]]:
        """The pictures below the log's folder by the last part of their name."""
        found = defaultdict(list)
        for name in filter(is_picture, self._store.below(self._folder)):
            found[name.rpartition("/")[2]].append(name)
        return found


def uninterrupted(names: Sequence[str], recordings: Sequence[str]) -> np.ndarray:
    """Numbers the stretches of a log that were driven in one go, int64 [N], from 0.

    A stretch ends where the recording's name changes, and where the time in the names of the
    pictures goes back or jumps: by over a second and ten times the usual step.

    Args:
        names: Of the pictures, in the log's order.
        recordings: What each frame's recording is called.
    """
    ends = np.array([a != b for a, b in pairwise(recordings)], bool)
    times = [_time(name) for name in names]
    known = [time for time in times if time is not None]
    if len(known) == len(names) > 1:
        steps = np.diff(known)
        ends |= (steps < 0) | (steps > max(_GAP_S, _GAP_STEPS * float(np.median(steps))))
    return np.concatenate([[0], np.cumsum(ends)]).astype(np.int64)


def frame_rate(names: Sequence[str]) -> float | None:
    """Returns the frames a second by the time in the pictures' names; None where they have none.

    Args:
        names: Of the pictures, in the log's order.
    """
    times = [time for time in map(_time, names) if time is not None]
    steps = [b - a for a, b in pairwise(times) if b > a]
    if not steps or len(times) < len(names):
        return None
    return 1.0 / float(np.median(steps))


def _common_tail(parts: list[str], others: list[str]) -> int:
    pairs = enumerate(zip(reversed(parts), reversed(others), strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(parts), len(others)))


def _time(name: str) -> float | None:
    match = _TIME.search(name.rpartition("/")[2])
    if match is None:
        return None
    year, month, day, hour, minute, second, milliseconds = map(int, match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)
        return moment.timestamp()
    except ValueError:
        return None
