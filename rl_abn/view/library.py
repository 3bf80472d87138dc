"""Which runs and episodes are served: those below the folders that were given, and nothing else.

The copy of an agent that ships, which its games and edits are kept in, counts as given.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.stamp import file_stamp
from rl_abn.files.text import kind_of
from rl_abn.recipes import RunRecipe, TranslationRunRecipe, VisionRunRecipe
from rl_abn.record import Episode, EpisodeMeta, is_episode
from rl_abn.record.meta import META
from rl_abn.rl.evaluation.record import EPISODES
from rl_abn.runs import Run, shipped
from rl_abn.runs.run import RECIPE

RUNS = Path("runs")
MOST_FOLDERS = 20_000
LOOK_EVERY_S = 1.0
_DEEPEST = 8


class UnknownIdError(Exception):
    """An id of nothing that is served."""


class FoundRun(NamedTuple):
    """A run that is served.

    Attributes:
        id: What requests call it.
        run: The run.
        label: Its path as it is shown.
        track: "rl", "vision" or "translation".
    """

    id: str
    run: Run[Any]
    label: str
    track: str

    @property
    def is_shipped(self) -> bool:
        """Whether it ships with the package, and is not to be written to."""
        return shipped.is_shipped(self.run.path)

    @property
    def title_of_env(self) -> str:
        """What the game or the data is called, such as "Ms. Pac-Man"."""
        env = self.run.recipe.env
        title: str = env.game.title if self.track == "rl" else env.title
        return title

    @property
    def is_detector(self) -> bool:
        """Whether it finds boxes in pictures."""
        return self.track == "vision" and self.run.recipe.env.kind == "boxes"


class FoundEpisode(NamedTuple):
    """An episode that is served.

    Attributes:
        id: What requests call it.
        path: Its folder.
        run: The id of the run that it belongs to; None where that is not served.
        label: Its path as it is shown.
    """

    id: str
    path: Path
    run: str | None
    label: str


class Library:
    """Finds runs and episodes, and gives them ids.

    What a symbolic link brings in from outside of the folders is left out.

    Args:
        folders: Runs, episodes, or folders that hold such.

    Raises:
        RlAbnError: If one of them is no folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [_folder(folder) for folder in folders]
        self.runs: dict[str, FoundRun] = {}
        self.episodes: dict[str, FoundEpisode] = {}
        self._admitted: list[Path] = []
        self._added: dict[str, FoundEpisode] = {}
        self._lock = RLock()
        self._recipes: dict[Path, tuple[float, FoundRun | None]] = {}
        self.refresh()

    def admit(self, folder: Path) -> None:
        """Lets episodes of one more folder be added; they are not looked for."""
        self._admitted.append(folder.resolve())

    def serve(self, folder: Path) -> None:
        """Serves one more folder, such as the copy of an agent that ships, and looks again."""
        folder = folder.resolve()
        if not any(folder.is_relative_to(top) for top in self.folders):
            self.folders.append(folder)
        self.refresh()

    def add_episode(self, path: Path, run: str | None) -> str:
        """Serves an episode of an admitted folder, or one that is new; returns its id.

        Args:
            path: The episode folder.
            run: The id of its run; None where that is not served.
        """
        path = path.resolve()
        name = _id(path)
        with self._lock:
            if name not in self.episodes:
                found = FoundEpisode(name, path, run, label_of(path))
                self._added[name] = self.episodes[name] = found
        return name

    def forget_below(self, folder: Path) -> None:
        """Serves the added episodes below a folder no longer."""
        folder = folder.resolve()
        with self._lock:
            gone = [n for n, found in self._added.items() if found.path.is_relative_to(folder)]
            for name in gone:
                self._added.pop(name)
                self.episodes.pop(name, None)

    def is_added(self, name: str) -> bool:
        """Returns whether an episode was added, and not found below the folders."""
        return name in self._added

    def refresh(self) -> None:
        """Looks for what is there now."""
        self._looked = time.monotonic()
        runs: dict[str, FoundRun] = {}
        episodes: dict[str, FoundEpisode] = {}
        for top in self.folders:
            for path, kind, run in self._walk(top):
                name = _id(path)
                label = label_of(path)
                if kind == "run":
                    found = self._run(path, name, label)
                    if found is not None:
                        runs.setdefault(name, found)
                else:
                    above = None if run is None else _id(run)
                    episodes.setdefault(name, FoundEpisode(name, path, above, label))
        with self._lock:
            self.runs = runs
            for name in episodes.keys() & self._added.keys():
                del self._added[name]
            self.episodes = {
                name: found if found.run in runs else found._replace(run=None)
                for name, found in (episodes | self._added).items()
            }

    def run(self, name: str) -> FoundRun:
        """Returns the run of an id.

        Raises:
            UnknownIdError: If there is none.
        """
        self._look_again(name in self.runs)
        if name not in self.runs:
            raise UnknownIdError(name)
        return self.runs[name]

    def episode(self, name: str) -> FoundEpisode:
        """Returns the episode of an id.

        Raises:
            UnknownIdError: If there is none.
        """
        self._look_again(name in self.episodes)
        if name not in self.episodes:
            raise UnknownIdError(name)
        return self.episodes[name]

    def episodes_of(self, run: str) -> list[str]:
        """Returns the ids of a run's episodes, by name; those that were added do not count."""
        found = [
            episode
            for episode in self.episodes.values()
            if episode.run == run and not self.is_added(episode.id)
        ]
        return [episode.id for episode in sorted(found, key=lambda episode: episode.path)]

    def is_inside(self, path: Path) -> bool:
        """Returns whether a path, its links followed, lies below a served folder."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return any(real.is_relative_to(top) for top in (*self.folders, *self._admitted))

    def _look_again(self, is_known: bool) -> None:
        """Refreshes where an id is new, but not for every wrong one."""
        if not is_known and time.monotonic() - self._looked >= LOOK_EVERY_S:
            self.refresh()

    def _walk(self, top: Path) -> Iterator[tuple[Path, str, Path | None]]:
        """Yields folders of runs and episodes: path, kind, and the run an episode belongs to."""
        budget = MOST_FOLDERS
        waiting: list[tuple[Path, int]] = [(top, 0)]
        above = top.parent.parent
        of_top = above if top.parent.name == EPISODES and _is_run(above) else None
        while waiting and budget:
            folder, depth = waiting.pop()
            budget -= 1
            if is_episode(folder):
                yield folder, "episode", of_top if folder == top else None
            elif _is_run(folder):
                yield folder, "run", None
                for path in self._below(folder / EPISODES):
                    if is_episode(path):
                        yield path, "episode", folder
            elif depth < _DEEPEST:
                waiting += [(path, depth + 1) for path in reversed(self._below(folder))]

    def _below(self, folder: Path) -> list[Path]:
        """Returns the folders in a folder, without hidden ones and links that lead outside."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return []
        paths = []
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or kind_of(path) != "a folder":
                continue
            if not entry.is_symlink() or self.is_inside(path):
                paths.append(path.resolve() if entry.is_symlink() else path)
        return paths

    def _run(self, path: Path, name: str, label: str) -> FoundRun | None:
        """Opens a run, or returns None where its recipe cannot be read; once until it changes."""
        try:
            changed = (path / RECIPE).stat().st_mtime
        except OSError:
            return None
        known = self._recipes.get(path)
        if known is None or known[0] != changed:
            known = self._recipes[path] = (changed, _opened(path, name, label))
        return known[1]


class EpisodeCard(NamedTuple):
    """What a list says of an episode.

    Attributes:
        meta: What its meta.json says.
        n_steps: Steps that can be read; 0 where it cannot be.
        cut: Why there are no more, in one line; None for a whole one.
    """

    meta: EpisodeMeta
    n_steps: int
    cut: str | None


def card_of(path: Path) -> EpisodeCard:
    """Returns what a list says of an episode; a whole one is not opened for it.

    Raises:
        RlAbnError: If it cannot be read.
    """
    meta = EpisodeMeta.load(path)
    if meta.status == "whole":
        return EpisodeCard(meta, meta.n_steps, None)
    episode = Episode(path)
    return EpisodeCard(meta, episode.n_steps, episode.cut)


def stamp_of(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Returns what changes when an episode grows or is replaced."""
    return tuple(file_stamp(path / part) for part in (META, "trace"))


def folders_or_default(folders: Sequence[Path]) -> list[Path]:
    """Returns the folders; where there are none, runs/ of this folder and what ships.

    Raises:
        RlAbnError: If there is nothing of either.
    """
    if folders:
        return list(folders)
    found = [folder for folder in (RUNS, shipped.AGENTS) if kind_of(folder) == "a folder"]
    if not found:
        raise RlAbnError(
            "expected runs/ in this folder, got none; train an agent with 'rl-abn train', or name "
            "a folder: rl-abn view PATH"
        )
    return found


def _folder(path: Path) -> Path:
    """Returns the folder of a path, or of an agent's name.

    Raises:
        RlAbnError: If it is none.
    """
    if kind_of(path) == "a folder":
        return path.resolve()
    names = shipped.list_shipped()
    if str(path) in names:
        return (shipped.AGENTS / str(path)).resolve()
    near = did_you_mean(str(path), names, "") if names else ""
    raise RlAbnError(
        f"expected a run, an episode or a folder of such, got '{path}' "
        f"({kind_of(path) or 'nothing there'})" + (f"; {near}" if near else "")
    )


def _is_run(folder: Path) -> bool:
    return kind_of(folder / RECIPE) == "a file"


def _opened(path: Path, name: str, label: str) -> FoundRun | None:
    for track, recipe in (
        ("rl", RunRecipe),
        ("vision", VisionRunRecipe),
        ("translation", TranslationRunRecipe),
    ):
        try:
            return FoundRun(name, Run.open(path, recipe), label, track)
        except RlAbnError:
            continue
    return None


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def label_of(path: Path) -> str:
    """Returns a path as commands take it: from this folder on, or a shipped agent's name."""
    here = shipped.AGENTS.resolve() if shipped.is_shipped(path) else Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return str(shown).encode("utf-8", "replace").decode()
