"""What a result depends on beside its recipe."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl_abn import __version__
from rl_abn.command_line import typed


def provenance(device: str) -> dict[str, Any]:
    """Returns what a result depends on beside its recipe: versions, machine, command line.

    The command line is None where none was typed.
    """
    packages = ("torch", "stable-baselines3", "gymnasium", "ale-py", "numpy")
    return {
        "command": typed(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "rl-abn": __version__,  # the package may lie on a path and be installed nowhere
            **{package: version(package) for package in packages},
        },
        "commit": _git_commit(),
        "device": device,
        "cpu_cores": os.cpu_count(),
        "platform": platform.platform(),
        "status": "running",
        "wall_time_s": 0.0,
    }


def _git_commit() -> str | None:
    """Returns the checkout's commit, or None in an installed package."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=False
        )
    except OSError:  # git is not installed
        return None
    return result.stdout.strip() or None
