"""How a sweep is driven: what is done stays, what fails is named, what stops is kept."""

from __future__ import annotations

import io
import signal
from types import SimpleNamespace

import pytest
from rich.console import Console

from rl_abn.runs import Run
from rl_abn.runs.lock import RunLock
from rl_abn.sweep import drive as driving
from rl_abn.sweep import status
from rl_abn.sweep.board import Board
from rl_abn.sweep.drive import drive
from rl_abn.sweep.engines.child import ended_on_cluster, settle, start_worker, write_unit
from rl_abn.sweep.engines.local import LocalEngine
from rl_abn.sweep.plan import make_plan
from rl_abn.sweep.status import Status, read_status, write_status


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that can move its cursor, whatever the tests are run in."""
    monkeypatch.setenv("TERM", "xterm")


class ScriptedEngine:
    """Works on units in no time: each ends as the script says, "done" where it says nothing."""

    outlives = False

    def __init__(self, plan, script):
        self.plan, self.script = plan, script
        self.submitted, self.waiting, self.closed, self.stopped = [], [], False, False

    def submit(self, units):
        self.submitted += [unit.name for unit in units]
        self.waiting += units

    def poll(self):
        ended = set()
        for unit in self.waiting:
            state = self.script.get(unit.name, "done")
            if self.stopped:
                state = "stopped"
            if state == "done":
                run = Run.create(self.plan.out / unit.name, unit.recipe(), "cpu")
                run.update_meta(status="finished", steps=unit.steps)
            if state == "signal":
                signal.raise_signal(signal.SIGINT)
                return ended
            write_status(self.plan.out / unit.name, Status(state, message="because"))
            ended.add(unit.name)
        self.waiting = []
        return ended

    def stop(self):
        self.stopped = True

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(driving, "POLL_S", 0)


@pytest.fixture
def plan(sweep_file, tmp_path):
    return make_plan(sweep_file(seeds=3), tmp_path / "out")


def quiet(plan):
    return Board(plan.name, plan.units, Console(file=io.StringIO()))


def test_a_failed_unit_does_not_stop_the_rest(plan):
    names = [unit.name for unit in plan.units]
    engine = ScriptedEngine(plan, {names[0]: "failed"})
    outcome = drive(plan, lambda: engine, quiet(plan))
    assert outcome.done == (names[1], names[2])
    assert outcome.failed == {names[0]: "because"}
    assert engine.closed
    # Again: what is done is not handed in.
    again = ScriptedEngine(plan, {})
    assert drive(plan, lambda: again, quiet(plan)).done == tuple(names)
    assert again.submitted == [names[0]]
    # And when all is done no engine is made.
    assert drive(plan, lambda: 1 / 0, quiet(plan)).done == tuple(names)


def test_ctrl_c_stops_the_units(plan):
    names = [unit.name for unit in plan.units]
    engine = ScriptedEngine(plan, {names[1]: "signal"})
    outcome = drive(plan, lambda: engine, quiet(plan))
    assert engine.stopped
    assert outcome.signal == signal.SIGINT
    assert outcome.done == (names[0],)
    assert outcome.left == (names[1], names[2])
    assert outcome.failed == {}


def test_the_units_stop_when_the_time_is_up(plan, monkeypatch):
    first, *others = (unit.name for unit in plan.units)
    engine = ScriptedEngine(plan, {})
    clock = iter([0.0, 1.0, 1.0, 60.0])  # begins; two rounds of work; and one too late
    poll = engine.poll

    def slow():
        engine.waiting, later = engine.waiting[:1], engine.waiting[1:]
        ended = poll()
        engine.waiting = later
        return ended

    monkeypatch.setattr(engine, "poll", slow)
    now = SimpleNamespace(monotonic=lambda: next(clock, 61.0), sleep=lambda seconds: None)
    monkeypatch.setattr(driving, "time", now)
    outcome = drive(plan, lambda: engine, quiet(plan), seconds=60)
    assert engine.stopped
    assert outcome.time_up
    assert outcome.signal is None
    assert outcome.done == (first, others[0])
    assert outcome.left == (others[1],)
    assert outcome.failed == {}
    monkeypatch.undo()
    again = drive(plan, lambda: ScriptedEngine(plan, {}), quiet(plan), seconds=60)
    assert again.done == (first, *others)
    assert not again.time_up


@pytest.fixture
def hang_up():
    """Has a closed terminal end the process as usual, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_jobs_of_a_cluster_outlive_a_closed_terminal(plan, monkeypatch, hang_up):
    engine = ScriptedEngine(plan, {})
    engine.outlives = True
    monkeypatch.setattr(engine, "poll", lambda: signal.raise_signal(signal.SIGHUP) or set())
    outcome = drive(plan, lambda: engine, quiet(plan))
    assert outcome.goes_on
    assert not engine.stopped


def test_a_unit_that_somebody_trains_is_waited_for(plan, monkeypatch):
    first, *others = plan.units
    Run.create(plan.out / first.name, first.recipe(), "cpu")
    lock = RunLock(plan.out / first.name)
    engine = ScriptedEngine(plan, {})
    n_polls = 0
    poll = engine.poll

    def counting():
        nonlocal n_polls
        n_polls += 1
        if n_polls == 3:
            assert engine.submitted == [unit.name for unit in others]
            assert read_status(plan.out / first.name).state == status.HELD
            lock.release()
        return poll()

    monkeypatch.setattr(engine, "poll", counting)
    monkeypatch.setattr(Run, "create", lambda path, recipe, device: Run(path, recipe))
    monkeypatch.setattr(Run, "update_meta", lambda run, **meta: None)
    drive(plan, lambda: engine, quiet(plan))
    assert engine.submitted == [unit.name for unit in (*others, first)]


@pytest.mark.more
def test_processes_of_this_machine(sweep_file, tmp_path):
    """One unit is trained, beside one that fails because its recipe was edited."""
    good, bad = make_plan(sweep_file(steps=32), tmp_path / "out").units
    bad = bad.model_copy(update={"digest": "00000000"})
    plan = make_plan(sweep_file(steps=32), tmp_path / "out")._replace(units=(good, bad))
    outcome = drive(plan, lambda: LocalEngine(plan, 2), quiet(plan))
    assert outcome.done == (good.name,)
    assert list(outcome.failed) == [bad.name]
    assert "expected the recipes this sweep was planned with" in outcome.failed[bad.name]
    assert read_status(plan.out / good.name).state == status.DONE
    assert "error" in (plan.out / bad.name).with_name("seed-1.log").read_text()


def test_a_process_that_cannot_be_started_does_not_stop_the_rest(plan, monkeypatch):
    first = plan.units[0].name

    def start(out, name, threads, device):
        if name == first:
            raise OSError(11, "Resource temporarily unavailable")
        return start_worker(out, name, threads, device)

    monkeypatch.setattr("rl_abn.sweep.engines.local.start_worker", start)
    engine = LocalEngine(plan, 1)
    engine.submit(plan.units[:1])
    assert engine.poll() == {first}
    found = read_status(plan.out / first)
    assert found.state == status.FAILED
    assert found.message == "cannot be started: Resource temporarily unavailable"


def test_a_worker_heeds_ctrl_c_where_it_was_born_deaf_to_it(plan):
    """As the processes that Ray starts are."""
    (unit, *_) = plan.units
    write_unit(plan.out, unit)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        worker = start_worker(plan.out, unit.name, 1, "cpu")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=60) == 130
    worker.stdin.close()


def test_a_worker_ends_when_whoever_started_it_does(plan):
    (unit, *_) = plan.units
    write_unit(plan.out, unit)
    worker = start_worker(plan.out, unit.name, 1, "cpu")
    worker.stdin.close()
    assert worker.wait(timeout=60) == 130
    assert read_status(plan.out / unit.name).state == status.STOPPED


@pytest.mark.parametrize(
    ("code", "state", "message"),
    [
        (-9, "failed", "ended by SIGKILL, perhaps for want of memory"),
        (-11, "failed", "ended by SIGSEGV"),
        (3, "failed", "ended with exit code 3; its log says why"),
        (-2, "stopped", ""),
    ],
)
def test_how_a_worker_ended_that_could_not_say_so(plan, code, state, message):
    name = plan.units[0].name
    write_status(plan.out / name, Status(status.TRAINING, step=5))
    settle(plan.out, name, code)
    assert read_status(plan.out / name) == Status(state, step=5, message=message)


def test_a_worker_that_said_how_it_ended_is_believed(plan):
    name = plan.units[0].name
    write_status(plan.out / name, Status(status.FAILED, message="diverged"))
    settle(plan.out, name, 2)
    assert read_status(plan.out / name).message == "diverged"


def test_a_job_that_was_requeued_has_not_ended(plan, tmp_path):
    done, failed, stopped = (unit.name for unit in plan.units)
    for name, state in ((done, "done"), (failed, "failed"), (stopped, "stopped")):
        write_status(plan.out / name, Status(state))
    stop = tmp_path / "stop"
    assert ended_on_cluster(plan.out, [done, failed, stopped], stop) == {done, failed}
    stop.touch()
    assert ended_on_cluster(plan.out, [done, failed, stopped], stop) == {done, failed, stopped}


def statuses(plan):
    names = [unit.name for unit in plan.units]
    return dict(
        zip(
            names,
            [
                Status(status.DONE, 64, 12.5),
                Status(status.FAILED, 10, None, None, "diverged"),
                Status(status.TRAINING, 32, 3.0, 410.0),
            ],
            strict=True,
        )
    )


def test_plain_lines_where_there_is_no_terminal(plan):
    console = Console(file=io.StringIO(), width=100)
    board = Board("few", plan.units, console)
    with board:
        board.show(statuses(plan))
        board.show(statuses(plan), last=True)
    lines = console.file.getvalue().splitlines()
    names = [unit.name for unit in plan.units]
    assert lines == [
        f"{names[0]}: done, mean return 12.5",
        f"{names[1]}: failed: diverged",
        f"{names[2]}: training",
        "few: 1 training, 1 failed, 1 done  106/192 steps",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_live_table_on_a_terminal(plan, monkeypatch):
    clock = iter([0.0, 0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr("rl_abn.sweep.board.time.monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=True)
    board = Board("few", plan.units, console)
    with board:
        before = statuses(plan)
        before[plan.units[2].name] = Status(status.TRAINING, 22)
        board.show(before)
        board.show(statuses(plan))
    shown = console.file.getvalue()
    assert "failed: diverged" in shown
    assert "32/64" in shown
    assert "410" in shown
    assert "106/192 steps  1 SPS  ETA 0:01:26" in shown


@pytest.mark.usefixtures("terminal")
def test_a_row_is_a_line(plan):
    console = Console(file=io.StringIO(), width=80, height=30, force_terminal=True)
    name = plan.units[1].name
    with Board("few", plan.units, console) as board:
        board.show({**statuses(plan), name: Status(status.FAILED, message="why " * 40)})
    # It is drawn once more at the end.
    (row,) = {line for line in console.file.getvalue().splitlines() if "why" in line}
    assert name in row
    assert "…" in row


@pytest.mark.usefixtures("terminal")
def test_a_table_fits_its_terminal(sweep_file, tmp_path):
    plan = make_plan(sweep_file(seeds=40), tmp_path / "out")
    console = Console(file=io.StringIO(), width=110, height=20, force_terminal=True)
    with Board("few", plan.units, console) as board:
        board.show({unit.name: Status() for unit in plan.units})
    assert "and 27 more" in console.file.getvalue()
