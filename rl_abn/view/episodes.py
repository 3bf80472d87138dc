"""Opened episodes: what the page asks of one, made once and kept while it is looked at."""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

from rl_abn.attention import mechanism_options
from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.record.chunks import FRAMES, STATES, TRACE, chunk_file
from rl_abn.record.meta import META
from rl_abn.rl.evaluation.replay import CONTINUES, game_of
from rl_abn.view.curves import Curves
from rl_abn.view.highlights import highlights_of
from rl_abn.view.library import FoundEpisode, Library, UnknownIdError, stamp_of
from rl_abn.view.painted import intervention_labels

KEPT = 8
_MOST_FILE_BYTES = 2**27


class OpenEpisode:
    """An episode that is looked at.

    Args:
        found: Where it is.
        library: What is served.

    Attributes:
        found: Where it is.
        episode: The episode.
        lock: Held by whoever reads steps: the reader keeps its last chunks.

    Raises:
        RlAbnError: If it cannot be read, or a link in it leads outside of what is served.
    """

    def __init__(self, found: FoundEpisode, library: Library) -> None:
        self.found = found
        self._library = library
        check_links(found.path, library)
        self.episode = Episode(found.path)
        self.lock = RLock()
        self._curves = Curves(self.episode)
        self._kept: dict[str, bytes] = {}

    def curves(self) -> bytes:
        """Returns the curves as JSON; made once."""
        return self._once("curves", self._curves.shown)

    def highlights(self) -> bytes:
        """Returns the moments worth seeing as JSON; found once."""
        return self._once("highlights", lambda: highlights_of(self._curves))

    def _once(self, name: str, make: Callable[[], Any]) -> bytes:
        with self.lock:
            if name not in self._kept:
                self._kept[name] = as_json(make())
            return self._kept[name]

    def reopened(self) -> Episode:
        """Returns the episode opened anew, for another thread."""
        return Episode(self.found.path)

    def file(self, kind: str, chunk: int) -> Path:
        """Returns the file of a chunk's sheet or trace.

        Raises:
            UnknownIdError: If there is no such chunk.
            RlAbnError: If it is larger than any can be.
        """
        if not 0 <= chunk < self.episode.n_chunks:
            raise UnknownIdError(chunk)
        path = chunk_file(self.found.path, kind, chunk)
        if not self._library.is_inside(path):
            raise UnknownIdError(chunk)
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise RlAbnError(
                f"{path}: expected at most {_MOST_FILE_BYTES:,} bytes, got {path.stat().st_size:,}"
            )
        return path

    def meta(self) -> dict[str, Any]:
        """Returns what the page has to know of it, for JSON."""
        episode, meta = self.episode, self.episode.meta
        maps = meta.arrays.get("maps")
        has_maps = maps is not None and bool(meta.map_names)
        kind = map_kind_of(episode) if has_maps else None
        return {
            "id": self.found.id,
            "title": meta.title,
            "label": self.found.label,
            "n_steps": episode.n_steps,
            "fps": meta.fps,
            "frames_per_step": meta.frames_per_step,
            "frame_size": list(meta.frame_size),
            "action_names": list(meta.action_names),
            "map_names": list(meta.map_names) if has_maps else [],
            "map_kind": kind,
            "map_size": list(maps.shape[1:]) if has_maps and maps is not None else None,
            "map_grid": _grid_of(maps.shape, kind) if has_maps and maps is not None else None,
            **(_steps_of(episode) if kind == "temporal" else {}),
            "map_places": None if meta.map_places is None else list(meta.map_places),
            "map_factor": meta.even_factor,
            "map_scale": meta.scale,
            "seen_rows": None if meta.seen_rows is None else list(meta.seen_rows),
            "chunk_steps": meta.chunk_steps,
            "n_chunks": episode.n_chunks,
            "sheet_columns": meta.sheet_columns,
            "arrays": {
                name: {"dtype": spec.dtype, "shape": list(spec.shape)}
                for name, spec in meta.arrays.items()
            },
            "cut": episode.cut,
            "status": meta.status,
            "score": float(episode.numbers("score")[-1]),
            # No more of it: it says who recorded the game, where and on which machine.
            "source": {name: meta.source[name] for name in (CONTINUES,) if name in meta.source},
            "objects": [
                {
                    "name": name,
                    "colours": found["colours"],
                    "rows": found["rows"],
                    "columns": found["columns"],
                }
                for name, found in meta.objects.items()
            ],
            "interventions": intervention_labels(meta.map_names if has_maps else ()),
            "run": self.found.run,
            "protocol": protocol_of(episode),
        }


class OpenEpisodes:
    """The episodes that are looked at, the last few of them.

    Args:
        library: What is served.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._open: OrderedDict[tuple[Path, object], OpenEpisode] = OrderedDict()
        self._lock = RLock()

    def get(self, name: str) -> OpenEpisode:
        """Returns an episode; opened anew where it has grown or was replaced.

        Raises:
            UnknownIdError: If there is none of this id.
            RlAbnError: If it cannot be read.
        """
        found = self.library.episode(name)
        key = (found.path, (stamp_of(found.path), found.run))
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
            opened = self._open[key] = OpenEpisode(found, self.library)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
            return opened


def check_links(folder: Path, library: Library) -> None:
    """Refuses an episode folder with a link that leads outside of what is served.

    Raises:
        RlAbnError: If there is one.
    """
    for part in (META, FRAMES, TRACE, STATES):
        paths = [folder / part]
        with suppress(OSError):
            paths += [Path(entry.path) for entry in os.scandir(folder / part) if entry.is_symlink()]
        for path in paths:
            if path.is_symlink() and not library.is_inside(path):
                raise RlAbnError(
                    f"{path}: expected a file of the episode, got a link to outside of it"
                )


def map_kind_of(episode: Episode) -> str | None:
    """Returns what the rows and columns of an episode's maps are, as `MapKind` says."""
    try:
        recipe, _ = game_of(episode)
    except RlAbnError:
        return None
    return recipe.agent.attention.abilities.maps


def steps_looked_back(episode: Episode) -> int | None:
    """Returns how many steps the temporal maps of an episode look back to, with the step itself.

    None where they are not of whole heads or hops of so many steps.
    """
    attention = game_of(episode)[0].agent.attention
    length = {**mechanism_options(attention.mechanism), **attention.options}.get("length")
    rows = episode.meta.arrays["maps"].shape[1]
    return length if isinstance(length, int) and length > 0 and rows % length == 0 else None


def _steps_of(episode: Episode) -> dict[str, Any]:
    """Returns that for JSON, and what its rows below each other are: of several heads or hops."""
    length = steps_looked_back(episode)
    if length is None:
        return {}
    has_hops = "hops" in mechanism_options(game_of(episode)[0].agent.attention.mechanism)
    return {"map_steps": length, "map_part": "Hop" if has_hops else "Head"}


def _grid_of(shape: tuple[int, ...], kind: str | None) -> list[int] | None:
    """Returns rows and columns of the places that maps are over; None where they are of none.

    The columns of pairwise maps are over a square: the frames of all networks are.
    """
    _, rows, columns = shape
    if kind == "spatial":
        return [rows, columns]
    side = math.isqrt(columns)
    return [side, side] if kind == "pairwise" and side * side == columns else None


def protocol_of(episode: Episode) -> str | None:
    """Returns the name of the protocol that an episode was played under."""
    game = episode.meta.source.get("game")
    name = game.get("protocol_name") if isinstance(game, dict) else None
    return name if isinstance(name, str) else None


def as_json(value: Any) -> bytes:
    """Returns a value as JSON without spaces.

    Raises:
        RlAbnError: If a number is NaN or infinite, or it is nested too deeply: files that are read
            may say so.
    """
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise RlAbnError("expected finite numbers in what is shown, got NaN or infinity") from None
    return text.encode("utf-8", "replace")


def finite(value: Any, levels: int = 64) -> Any:
    """Returns a value for JSON: null in place of NaN and infinity, and of what is nested deeper.

    Args:
        value: Of mappings, lists, numbers and text; what is none of these becomes text.
        levels: How deeply it may be nested.
    """
    if not levels:
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item, levels - 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
