"""How much memory this process takes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_mib() -> float | None:
    """Returns what this process has in memory now, MiB; None where the system does not say."""
    return _of_status("VmRSS")


def peak_rss_mib() -> float:
    """Returns this process's peak memory, MiB.

    `ru_maxrss` alone will not do on Linux: a process inherits its parent's peak through fork.
    """
    peak = _of_status("VmHWM")
    if peak is not None:
        return peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _of_status(field: str) -> float | None:
    if _STATUS.is_file():
        for line in _STATUS.read_text("utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 2**10
    return None
