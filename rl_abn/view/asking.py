"""What the page may ask for, by id: what an episode is, and work on it."""

from __future__ import annotations

import secrets
import shutil
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.runs import Run
from rl_abn.runs.shipped import is_shipped, own_run
from rl_abn.view.agents import Agents, Asked
from rl_abn.view.edits import list_edits, save_edits
from rl_abn.view.episode_reliance import MOST_STEPS, episode_reliance
from rl_abn.view.episodes import OpenEpisode, OpenEpisodes
from rl_abn.view.futures import play_futures, read_question, summary
from rl_abn.view.jobs import BusyError, Job, Jobs
from rl_abn.view.library import Library
from rl_abn.view.record_job import read_record_question, record
from rl_abn.view.what_if import what_if

KEPT_FUTURES = 8
MOST_QUESTIONS = 8


class Asking:
    """Answers what is asked of episodes and runs.

    Futures are recorded into a temporary folder, which `close` removes; those of the last few
    questions are kept.

    Args:
        library: What is served.

    Attributes:
        jobs: The work that was begun.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.jobs = Jobs()
        self._episodes = OpenEpisodes(library)
        self._agents = Agents(library)
        self._temporary = TemporaryDirectory(prefix="rl-abn-view-")
        self._futures: deque[Path] = deque()
        self._questions = BoundedSemaphore(MOST_QUESTIONS)
        library.admit(Path(self._temporary.name))

    def close(self) -> None:
        """Stops what is being done and removes the futures."""
        self.jobs.close()
        self._temporary.cleanup()

    def opened(self, name: str) -> OpenEpisode:
        """Returns an episode.

        Raises:
            UnknownIdError: If there is none.
            RlAbnError: If it cannot be read.
        """
        return self._episodes.get(name)

    def meta(self, name: str) -> dict[str, Any]:
        """Returns what the page has to know of an episode."""
        opened = self.opened(name)
        why: str | None = None
        try:
            self._agents.run_of(opened)
        except RlAbnError as error:
            why = " ".join(str(error).split())
        return {**opened.meta(), "can_ask": why is None, "why_not": why}

    def what_if(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Answers what the agent would do with other maps.

        Raises:
            BusyError: If many are being answered already.
        """
        if not self._questions.acquire(blocking=False):
            raise BusyError(f"expected at most {MOST_QUESTIONS} questions at a time, got more")
        try:
            return what_if(self._asked(name), data)
        finally:
            self._questions.release()

    def futures(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Begins to play futures."""
        asked = self._asked(name)
        opened, episode = asked.opened, asked.opened.episode
        question = read_question(data, episode, asked.maps)
        run = self._agents.run_of(opened)
        folder = Path(self._temporary.name) / secrets.token_hex(8)

        def work(job: Job) -> dict[str, Any]:
            self._make_room()
            self._futures.append(folder)
            # An episode of its own: the reader's last chunks are not shared between threads.
            played = play_futures(opened.reopened(), run, question, folder, job)
            paths = [future.path for side in played.values() for future in side]
            ids = {path: self.library.add_episode(path, opened.found.run) for path in paths}
            return summary(played, ids, alike=question.alike)

        return self._begun(self.jobs.start(question.n_steps, "playing futures", work))

    def reliance(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Begins to measure map reliance on an episode's steps."""
        if data:
            raise RlAbnError("expected no fields in the body, got some")
        opened = self.opened(name)
        run = self._agents.run_of(opened)
        of = min(opened.episode.n_steps, MOST_STEPS)

        def work(job: Job) -> dict[str, Any]:
            return episode_reliance(opened.reopened(), run, job)

        return self._begun(self.jobs.start(of, "measuring map reliance", work))

    def record(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Begins to record a game of a run."""
        found = self.library.run(name)
        if found.track != "rl":
            raise RlAbnError(f"expected a run that plays games, got '{found.label}', which sees")
        question = read_record_question(data, found.run)

        def work(job: Job) -> dict[str, Any]:
            game = record(self._to_write_to(found.run), question, job)
            self.library.refresh()
            return {
                "episode": self.library.add_episode(game.path, None),
                "score": game.score,
                "n_steps": game.n_steps,
            }

        return self._begun(self.jobs.start(question.max_steps, "recording a game", work))

    def save_edits(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Keeps painted maps in the run."""
        asked = self._asked(name)
        run = self._agents.run_of(asked.opened)
        return save_edits(asked, lambda: self._to_write_to(run), data)

    def list_edits(self, name: str) -> dict[str, Any]:
        """Returns the painted maps that the run keeps."""
        return {"edits": list_edits(self._agents.run_of(self.opened(name)))}

    def stop(self, name: str) -> dict[str, Any]:
        """Stops a job."""
        job = self.jobs.get(name)
        job.stop()
        return job.shown()

    def _to_write_to(self, run: Run) -> Run:
        """Returns a run; of one that ships its copy below runs/, which is served from then on."""
        if not is_shipped(run.path):
            return run
        own = Run.open(own_run(run.path))
        self.library.serve(own.path)
        return own

    def _asked(self, name: str) -> Asked:
        return self._agents.get(self.opened(name))

    def _begun(self, job: Job) -> dict[str, Any]:
        return {"job": job.id}

    def _make_room(self) -> None:
        while len(self._futures) >= KEPT_FUTURES:
            folder = self._futures.popleft()
            self.library.forget_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
