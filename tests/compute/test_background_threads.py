import os
import sys
import threading

import pytest

from rl_abn.compute.background_threads import NICENESS, in_background

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads' own priorities")


def priority():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def policy():
    return os.sched_getscheduler(0)


def in_a_thread(ask):
    said = []
    thread = threading.Thread(target=lambda: said.append(ask()))
    thread.start()
    thread.join()
    return said[0]


@linux
def test_idle_threads_run_where_nothing_else_does():
    before = policy()
    assert in_background(lambda: in_a_thread(policy), idle=True) == os.SCHED_IDLE
    assert policy() == in_a_thread(policy) == before


@linux
def test_threads_started_inside_yield_and_no_others():
    before = priority()
    assert in_background(lambda: in_a_thread(priority)) == min(before + NICENESS, 19)
    assert priority() == in_a_thread(priority) == before


@pytest.mark.parametrize("idle", [False, True])
def test_what_is_made_is_returned_where_priorities_cannot_be_set(idle, monkeypatch):
    def refuse(*_):
        raise PermissionError

    for name in ("nice", "sched_setscheduler"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    assert in_background(lambda: 7, idle=idle) == 7


def test_errors_come_through():
    with pytest.raises(ValueError, match="no such game"):
        in_background(lambda: (_ for _ in ()).throw(ValueError("no such game")))
