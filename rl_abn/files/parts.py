"""Work in parts that are kept: what is finished is not done twice.

A part is kept with a key of its inputs and of the version of rl-abn, and done again where one of
them is another.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn import __version__
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output

_TEXT = "__result__"
FORMAT = 1


class Part(NamedTuple):
    """What a part of the work came to.

    Attributes:
        result: Plain data, as JSON has it.
        arrays: By name.
    """

    result: Any
    arrays: dict[str, np.ndarray]


class Parts:
    """Parts in a folder, each a file.

    Args:
        folder: Where they are kept.
        inputs: What all of them depend on.
        on_part: Told each part's name and whether it was there already.

    Raises:
        RlAbnError: If the folder cannot be made; before any work is done.
    """

    def __init__(
        self,
        folder: Path,
        inputs: Mapping[str, Any],
        on_part: Callable[[str, bool], None] | None = None,
    ) -> None:
        self.folder = folder
        self._inputs = dict(inputs)
        self._on_part = on_part
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None

    def do(self, name: str, make: Callable[[], Part], **inputs: Any) -> Part:
        """Returns a part: the one that is kept, or else what `make` returns, which is kept.

        Args:
            name: Of the part; letters, digits, "-" and "_".
            make: Does the work.
            inputs: What it depends on beside what all parts do.

        Raises:
            RlAbnError: If it cannot be kept.
        """
        key = self._key(name, inputs)
        found = self._read(name, key)
        if found is None:
            made = make()
            # As it comes back from the file, so that a report is the same either way.
            found = Part(json.loads(json.dumps(made.result)), made.arrays)
            self._write(name, key, found)
            if self._on_part is not None:
                self._on_part(name, False)
        elif self._on_part is not None:
            self._on_part(name, True)
        return found

    def _key(self, name: str, inputs: Mapping[str, Any]) -> str:
        text = json.dumps([FORMAT, __version__, name, self._inputs, dict(inputs)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def _read(self, name: str, key: str) -> Part | None:
        try:
            with np.load(self._path(name), allow_pickle=False) as kept:
                text = json.loads(bytes(kept[_TEXT]).decode())
                if text["key"] != key:
                    return None
                return Part(text["result"], {n: kept[n] for n in kept.files if n != _TEXT})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def _write(self, name: str, key: str, part: Part) -> None:
        data = io.BytesIO()
        text = json.dumps({"key": key, "result": part.result}).encode()
        arrays: dict[str, Any] = {_TEXT: np.frombuffer(text, np.uint8), **part.arrays}
        np.savez_compressed(data, **arrays)
        write_output(self._path(name), data.getvalue())
