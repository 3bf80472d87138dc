"""The folder of a fit: a new one, or an earlier fit's that is gone on with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.files.images import MOST_BYTES
from rl_abn.files.text import kind_of, read_json, write_output
from rl_abn.runs.folders import is_taken
from rl_abn.vision.data.driving import list_driving_log
from rl_abn.vision.driving.fit.request import FitRequest

FIT = "fit.json"
"""Marks a folder as a fit's, and says of what."""
_EXPERTS = "the expert's"
_N_SAMPLED = 16


def take_folder(request: FitRequest) -> bool:
    """Makes the folder of a fit, or takes the one that is there.

    Returns:
        Whether an earlier fit is gone on with.

    Raises:
        RlAbnError: If something else is there, another network's fit or that of another log, the
            log cannot be read, or the folder cannot be written.
    """
    path, first = request.folder / FIT, request.recipes[0]
    marks = {"env": first.env_name, "agent": first.agent_name, "seed": request.seed}
    log = _log_of(request.data)
    if is_taken(request.folder):
        if kind_of(path) != "a file":
            raise RlAbnError(
                f"expected a new folder or an earlier fit's, got '{request.folder}', which exists "
                f"and has no {FIT}; choose another --out"
            )
        kept = read_json(path)
        was = {name: kept.get(name) for name in marks}
        if was != marks:
            said = (" ".join(f"{name} {of[name]}" for name in marks) for of in (was, marks))
            raise RlAbnError(
                "{}: expected the fit of {}, got {}; choose another --out".format(
                    request.folder, *said
                )
            )
        _check_log(request.folder, kept, log)
        return True
    write_output(path, {**marks, **log})
    return False


def _log_of(data: Path | None) -> dict[str, str | None]:
    """Returns where a log lies and a hash of some of its pictures; the expert's is always one."""
    if data is None:
        return {"log": _EXPERTS, "log_sha256": None}
    listing = list_driving_log(data)
    hashed = sha256()
    for i in np.linspace(0, len(listing.names) - 1, _N_SAMPLED).round().astype(int):
        name = listing.names[i]
        hashed.update(name.encode("utf-8", "replace") + b"\0")
        hashed.update(sha256(listing.store.read(name, MOST_BYTES)).digest())
    return {"log": str(data.resolve()), "log_sha256": hashed.hexdigest()}


def _check_log(folder: Path, kept: dict[str, Any], log: dict[str, str | None]) -> None:
    """Refuses another log than an earlier fit's, which one of an older version does not say."""
    if "log" in kept and kept.get("log_sha256") != log["log_sha256"]:
        same = "other pictures there" if kept["log"] == log["log"] else log["log"]
        raise RlAbnError(
            f"{folder}: expected the fit's own log, {kept['log']}, got {same}; choose another --out"
        )
