"""Emulators that nobody plays on just now, for whoever wants such games next.

ALE takes a seventh of a second of processor time to load a game, and an evaluation wants the same
sixteen for every player. A seeded reset loads a game anew, so what was played before leaves
nothing behind.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from ale_py.vector_env import AtariVectorEnv

MOST_GAMES = 64


class IdleEmulators:
    """Keeps vector environments by what they were made with, the newest up to a number of games.

    Args:
        most_games: How many games of all environments are kept at most.
    """

    def __init__(self, most_games: int = MOST_GAMES) -> None:
        self._most_games = most_games
        self._kept: OrderedDict[int, tuple[Hashable, AtariVectorEnv]] = OrderedDict()
        self._lock = Lock()

    def take(self, key: Hashable) -> AtariVectorEnv | None:
        """Returns an environment that was kept under a key, and keeps it no longer."""
        with self._lock:
            for number, (kept_key, env) in reversed(self._kept.items()):
                if kept_key == key:
                    del self._kept[number]
                    return env
        return None

    def keep(self, key: Hashable, env: AtariVectorEnv) -> None:
        """Keeps an environment between two steps; the oldest make room for it."""
        with self._lock:
            self._kept[id(env)] = key, env
            while sum(other.num_envs for _, other in self._kept.values()) > self._most_games:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Lets go of all."""
        with self._lock:
            self._kept.clear()


IDLE = IdleEmulators()
# ALE's bindings complain of what is still there when the interpreter goes.
atexit.register(IDLE.clear)


def thread_priority() -> Hashable:
    """Returns how the threads that this one starts give way to others."""
    if not sys.platform.startswith("linux"):
        return None
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
