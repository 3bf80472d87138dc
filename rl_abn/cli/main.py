"""`rl-abn`: runs a command and prints a user's mistake as one line.

Nothing of ours that takes long is imported before signals are in hand: Ctrl-C while the rest is
imported ends in one line, too.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rl_abn.cli.safe_output import safe_output
from rl_abn.command_line import running
from rl_abn.errors import RlAbnError, without_control_characters
from rl_abn.stop_signal import Ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command line and exits.

    0 is done, 1 done but its output could not be written or some of a sweep failed, 2 a user's
    mistake, 75 the time was up and the same command goes on, and 128 and the signal's number ended
    by a signal: 130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with _signals() as received, safe_output() as output:
        code = _run(words, received)
        output.flush()
        if output.lost is not None and not code:
            _complain(f"standard output cannot be written: {output.lost}")
            code = 1
    if code:
        sys.exit(code)


def _run(words: Sequence[str], received: list[int]) -> int:
    try:
        # Before torch loads: OpenMP threads that wait by spinning take the cores from each other
        # and from the emulators when anything else runs on the machine (33 steps/s instead of 351,
        # measured on two cores).
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from rl_abn.cli.commands import run_command
        from rl_abn.process_memory import keep_freed_memory

        keep_freed_memory()
        with running(words):
            run_command(words)
    except RlAbnError as error:
        _complain(f"error: {' '.join(str(error).split())}")
        return 2
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException as error:
        # An extension module that is interrupted while it is imported may raise anything.
        if not received and not isinstance(error, KeyboardInterrupt):
            raise
        number = received[0] if received else getattr(error, "number", signal.SIGINT)
        by = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        _complain(by)
        return 128 + number
    return 0


def _complain(message: str) -> None:
    print(f"rl-abn: {without_control_characters(message)}", file=sys.stderr)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Turns signals that end a process into `Ended`; those that it is told to ignore stay ignored.

    Yields:
        The signals that came so far.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Ended(number)

    handlers = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        handler = signal.getsignal(number)
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            handlers[number] = handler
    try:
        for number in handlers:
            signal.signal(number, end)
    except ValueError:  # not in the main thread, which alone gets signals
        handlers = {}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
