from __future__ import annotations

import io
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from rich.console import Console

from rl_abn import progress
from rl_abn.progress import PLAIN_EVERY_S, ProgressReport


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich asks TERM what a terminal can do."""
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


Report = Callable[..., ProgressReport]


@pytest.fixture
def plain(screen: io.StringIO, clock: Clock) -> Report:
    """Makes reports that write to no terminal, and a narrow one at that."""

    def make(label: str, total: int | None, unit: str, start: int = 0) -> ProgressReport:
        console = Console(file=screen, force_terminal=False, width=20)
        return ProgressReport(label, total, unit, start=start, console=console)

    return make


def test_a_plain_line_has_done_and_total_numbers_and_eta(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    with plain("training ppo_abn_paper", 1_000_000, "steps") as report:
        clock.now += 60
        report.update(100_000, SPS=1667, mean_score="231.5")
    assert screen.getvalue() == (
        "training ppo_abn_paper: 100,000/1,000,000 steps  SPS 1667  mean score 231.5  ETA 0:09:00\n"
    )


@pytest.mark.parametrize(
    ("seconds", "done", "total", "eta"),
    [
        (10, 1, 2, "0:00:10"),
        (10, 50, 100, "0:00:10"),
        (10, 99, 100, "0:00:00"),
        (3600, 1, 25, "24:00:00"),
        (90, 3, 13, "0:05:00"),
        (59.6, 1, 2, "0:01:00"),
        (10, 100, 100, "0:00:00"),
        (10, 120, 100, "0:00:00"),
    ],
)
def test_eta_is_the_time_left_at_the_speed_so_far(
    plain: Report,
    clock: Clock,
    screen: io.StringIO,
    seconds: float,
    done: int,
    total: int,
    eta: str,
) -> None:
    report = plain("x", total, "games")
    clock.now += seconds
    report.update(done)
    assert screen.getvalue().endswith(f"  ETA {eta}\n")


def test_what_was_done_before_does_not_count_towards_the_eta(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    report = plain("resumed", 1_000, "steps", start=900)
    clock.now += 100
    report.update(910)  # 10 in 100 s, 90 to go: 900 s; 910 in 100 s would say 10 s
    assert "resumed: 910/1,000 steps" in screen.getvalue()
    assert screen.getvalue().endswith("ETA 0:15:00\n")


def test_units_that_turn_out_to_be_done_do_not_count_towards_the_eta(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    report = plain("playing", 100, "games")
    report.skip(50, 50)
    assert screen.getvalue() == "playing: 50/100 games, 50 of them before\n"
    clock.now += 100
    report.update(60)  # 10 in 100 s, 40 to go: 400 s
    assert screen.getvalue().endswith("ETA 0:06:40\n")


def test_there_is_no_eta_before_anything_is_done(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    report = plain("resumed", 1_000, "steps", start=900)
    clock.now += 100
    report.update(900)
    assert screen.getvalue() == "resumed: 900/1,000 steps\n"


def test_there_is_no_eta_and_no_total_where_nobody_knows(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    report = plain("recording", None, "steps")
    clock.now += 100
    report.update(1_500, score=20)
    assert screen.getvalue() == "recording: 1,500 steps  score 20\n"


def test_plain_lines_come_every_ten_seconds_and_at_the_end(
    plain: Report, clock: Clock, screen: io.StringIO
) -> None:
    assert PLAIN_EVERY_S == 10.0
    report = plain("x", 40, "steps")
    for done in range(1, 41):
        clock.now += 1
        report.update(done)
    shown = [int(done) for done in re.findall(r"(\d+)/40", screen.getvalue())]
    assert shown == [10, 20, 30, 40]
    assert screen.getvalue().count("\n") == 4


def test_a_quick_job_shows_its_last_line(plain: Report, clock: Clock, screen: io.StringIO) -> None:
    report = plain("playing", 3, "games")
    for done in (1, 2, 3):
        clock.now += 0.5
        report.update(done, mean="12.0")
    assert screen.getvalue() == "playing: 3/3 games  mean 12.0  ETA 0:00:00\n"


def test_a_pipe_gets_no_control_codes(plain: Report, clock: Clock, screen: io.StringIO) -> None:
    with plain("x", 2, "steps") as report:
        clock.now += 20
        report.update(1)
    assert screen.getvalue().removesuffix("\n").isprintable()


def test_a_terminal_gets_a_live_line(screen: io.StringIO) -> None:
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with ProgressReport("training ppo_abn_paper", 200, "steps", console=console) as report:
        report.update(50, SPS=417)
        report.update(100, SPS=421)
    assert re.search(r"training ppo_abn_paper .* 50% SPS 421 ETA", screen.getvalue())


def test_a_resumed_job_starts_where_it_was_on_a_terminal(screen: io.StringIO) -> None:
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with ProgressReport("training", 200, "steps", start=150, console=console):
        pass
    assert " 75% " in screen.getvalue()


def test_units_that_were_done_before_move_the_live_line(screen: io.StringIO) -> None:
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with ProgressReport("playing", 200, "games", console=console) as report:
        report.skip(150, 150)
    assert " 75% " in screen.getvalue()


def test_an_error_passes_through_and_the_terminal_is_given_back(screen: io.StringIO) -> None:
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with pytest.raises(ValueError, match="mine"), ProgressReport("x", 2, "y", console=console):
        raise ValueError("mine")
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with ProgressReport("x", 2, "steps") as report:
        report.update(2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("x: 2/2 steps")


def test_a_label_is_shown_as_it_is(plain: Report, clock: Clock, screen: io.StringIO) -> None:
    report = plain("training mine[v2]", 2, "steps")
    report.update(2)
    assert screen.getvalue().startswith("training mine[v2]: 2/2 steps")


def test_a_dumb_terminal_gets_plain_lines(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=screen, force_terminal=True, width=120)
    with ProgressReport("training", 2, "steps", console=console) as report:
        report.update(2)
    assert screen.getvalue() == "training: 2/2 steps    ETA 0:00:00\n"
