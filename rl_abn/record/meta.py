"""What `meta.json` says of an episode, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.files.text import kind_of, read_json, write_output

META = "meta.json"
FORMAT = "rl-abn episode"
VERSION = 1
DTYPES = ("bool", "uint8", "int32", "int64", "float16", "float32", "float64")
_MOST_SHEET_PIXELS = 2**26
_MOST_NAMES = 4096
_MOST_ELEMENTS = 2**24  # of one array at one step
_CHUNK_STEPS = 64
_CHUNK_PIXELS = 2**22


@dataclass(frozen=True)
class ArraySpec:
    """Type and shape of an array at one step.

    Attributes:
        dtype: One of `DTYPES`.
        shape: Of one step; () for a number.
    """

    dtype: str
    shape: tuple[int, ...]


REQUIRED = {
    "action": "int32",
    "reward": "float64",
    "score": "float64",
    "lives": "int32",
    "lost_life": "bool",
    "terminated": "bool",
    "truncated": "bool",
}
"""Numbers that every step has, by their type."""


@dataclass(frozen=True)
class EpisodeMeta:
    """What is known of an episode beside its steps.

    Attributes:
        title: Text at the top of its video.
        action_names: Names of the A actions.
        map_names: Names of the m maps.
        frame_size: Height and width of a screen, in pixels.
        fps: Steps in a second of play.
        frames_per_step: Screens that the emulator makes in a step.
        source: Who played what, as the track that recorded it says it, for JSON.
        even_factor: What map values are multiplied by to be drawn: 1, or where each map shares out
            a sum of 1, what makes them multiples of an even map's value.
        map_places: Where the columns of a map are all locations: how many rows and columns these
            have. The mean over the map's rows is drawn. None draws maps as they are.
        scale: How maps are drawn: "fixed", 0..1 as they are, or "even", as such multiples.
        seen_rows: Rows of the screen that the maps cover; None is all.
        objects: The objects on the screen by name: "colours" (RGB), and the "rows" and "columns"
            where they can be, None for all.
        arrays: Of a step, by name; `REQUIRED` are among them.
        chunk_steps: Steps of a chunk; the last one may have fewer.
        sheet_columns: Screens side by side in a sheet.
        status: "recording", "whole" (the game ended, or as many steps were made as asked for) or
            "cut" (the recording was stopped).
        n_steps: Steps in all; 0 while it is recorded.
        score: The raw score after the last step; 0 while it is recorded.
        rl_abn: Version of this program.
    """

    title: str
    action_names: tuple[str, ...]
    map_names: tuple[str, ...]
    frame_size: tuple[int, int]
    fps: float
    frames_per_step: int = 1
    source: Mapping[str, Any] = field(default_factory=dict)
    even_factor: int = 1
    map_places: tuple[int, int] | None = None
    scale: str = "fixed"
    seen_rows: tuple[int, int] | None = None
    objects: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, ArraySpec] = field(default_factory=dict)
    chunk_steps: int = 0
    sheet_columns: int = 16
    status: str = "recording"
    n_steps: int = 0
    score: float = 0.0
    rl_abn: str = ""

    def __post_init__(self) -> None:
        if not self.chunk_steps:
            height, width = self.frame_size
            n = _CHUNK_STEPS
            while n > 1 and n * height * width > _CHUNK_PIXELS:
                n //= 2
            object.__setattr__(self, "chunk_steps", n)

    def save(self, folder: Path) -> None:
        """Writes `meta.json`.

        Raises:
            RlAbnError: If it cannot be written.
        """
        write_output(folder / META, {"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> EpisodeMeta:
        """Reads and checks `meta.json`.

        Raises:
            RlAbnError: If it is missing, damaged or of another format.
        """
        path = folder / META
        data = read_json(path)
        if data.get("format") != FORMAT or data.get("version") != VERSION:
            raise RlAbnError(
                f"{path}: expected format '{FORMAT}', version {VERSION}, got "
                f"{str(data.get('format'))[:40]!a}, version {str(data.get('version'))[:20]!a}"
            )
        values = {}
        for name, (check, expected) in _FIELDS.items():
            if name not in data and name in _LATER:
                continue
            if name not in data:
                raise RlAbnError(f"{path}: expected '{name}', got none")
            try:
                values[name] = check(data[name])
            except (TypeError, ValueError, LookupError, OverflowError):
                raise RlAbnError(
                    f"{path}: expected {expected} as '{name}', got {str(data[name])[:60]!a}"
                ) from None
        return _checked(path, cls(**values))


def is_episode(folder: Path) -> bool:
    """Returns whether a folder says that it is a recorded episode."""
    if kind_of(folder / META) != "a file":
        return False
    try:
        return read_json(folder / META).get("format") == FORMAT
    except RlAbnError:
        return False


def _checked(path: Path, meta: EpisodeMeta) -> EpisodeMeta:
    """Refuses what does not fit together."""
    for name, dtype in REQUIRED.items():
        if meta.arrays.get(name) != ArraySpec(dtype, ()):
            raise RlAbnError(f"{path}: expected '{name}' among the arrays, a {dtype} a step")
    height, width = meta.frame_size
    if meta.chunk_steps * height * width > _MOST_SHEET_PIXELS:
        raise RlAbnError(
            f"{path}: expected sheets of at most {_MOST_SHEET_PIXELS:,} pixels, got "
            f"{meta.chunk_steps} screens of {height}x{width}"
        )
    actions, maps = len(meta.action_names), len(meta.map_names)
    shapes: dict[str, Callable[[tuple[int, ...]], bool]] = {
        "probabilities": lambda shape: shape == (actions,),
        "branch_probabilities": lambda shape: shape == (actions,),
        "value": lambda shape: shape == (),
        "branch_value": lambda shape: shape == (),
        "maps": lambda shape: len(shape) == 3 and shape[0] == maps,
        "evidence": lambda shape: len(shape) == 3 and shape[0] == actions + 1,
    }
    for name, fits in shapes.items():
        found = meta.arrays.get(name)
        if found is not None and (not fits(found.shape) or not found.dtype.startswith("float")):
            raise RlAbnError(
                f"{path}: expected '{name}' to fit {actions} actions and {maps} maps, got "
                f"{found.dtype} {list(found.shape)}"
            )
    flat = meta.arrays.get("maps")
    if meta.map_places and (flat is None or math.prod(meta.map_places) != flat.shape[-1]):
        raise RlAbnError(
            f"{path}: expected maps of {meta.map_places[0]} x {meta.map_places[1]} columns, got "
            f"{None if flat is None else list(flat.shape)}"
        )
    if meta.seen_rows is not None and not 0 <= meta.seen_rows[0] < meta.seen_rows[1] <= height:
        raise RlAbnError(f"{path}: expected seen_rows within {height}, got {meta.seen_rows}")
    return meta


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_NAMES:
        raise TypeError
    return tuple(map(_text, value))


def _count(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return check


def _pair(value: Any, low: int, high: int) -> tuple[int, int]:
    first, second = map(_count(low, high), value)
    return first, second


def _number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _speed(value: Any) -> float:
    if not 0 < _number(value) <= 1000:
        raise ValueError
    return float(value)


def _objects(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > _MOST_NAMES:
        raise TypeError
    for name, found in value.items():
        _text(name)
        for colour in found["colours"]:
            _red, _green, _blue = map(_count(0, 255), colour)
        for side in ("rows", "columns"):
            if found[side] is not None:
                _pair(found[side], 0, 4096)
    return value


def _arrays(value: Any) -> dict[str, ArraySpec]:
    if not isinstance(value, dict) or len(value) > _MOST_NAMES:
        raise TypeError
    found = {}
    for name, spec in value.items():
        shape = tuple(map(_count(0, _MOST_ELEMENTS), spec["shape"]))
        if spec["dtype"] not in DTYPES or len(shape) > 8 or math.prod(shape) > _MOST_ELEMENTS:
            raise ValueError
        found[_text(name)] = ArraySpec(spec["dtype"], shape)
    return found


def _source(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return check


_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "title": (_text, "a line of text"),
    "action_names": (lambda value: _names(value) or _text(None), "the names of one action or more"),
    "map_names": (_names, "names"),
    "frame_size": (lambda value: _pair(value, 1, 4096), "a height and a width of 1 to 4096"),
    "fps": (_speed, "a number above 0"),
    "frames_per_step": (_count(1, 1024), "a whole number from 1 to 1024"),
    "source": (_source, "an object"),
    "even_factor": (_count(1, _MOST_ELEMENTS), "a whole number from 1"),
    "map_places": (
        lambda value: None if value is None else _pair(value, 1, 4096),
        "rows and columns, or null",
    ),
    "scale": (_one_of("fixed", "even"), "'fixed' or 'even'"),
    "seen_rows": (
        lambda value: None if value is None else _pair(value, 0, 4096),
        "a first row and the row after the last, or null",
    ),
    "objects": (_objects, "colours [red, green, blue], rows and columns by name"),
    "arrays": (_arrays, "a dtype and a shape by name"),
    "chunk_steps": (_count(1, 4096), "a whole number from 1 to 4096"),
    "sheet_columns": (_count(1, 4096), "a whole number from 1 to 4096"),
    "status": (_one_of("recording", "whole", "cut"), "'recording', 'whole' or 'cut'"),
    "n_steps": (_count(0, 2**53), "a whole number from 0"),
    "score": (_number, "a number"),
    "rl_abn": (_text, "a version"),
}
"""How each field is checked, and what it has to be."""

_LATER = ("map_places",)
"""Fields that the first episodes lack."""
