"""Stops work at a signal: at once, or cleanly after a training's current update."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal ends the command: Ctrl-C, SIGTERM of a cluster, SIGHUP of a terminal.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StopSignal:
    """Records SIGINT, SIGTERM or SIGHUP, so that the training can stop between two updates.

    Attributes:
        received: The signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def catching(self) -> Iterator[StopSignal]:
        """Records the first signal; a Ctrl-C after it raises KeyboardInterrupt.

        Other signals come in pairs (a closed terminal, a cluster that repeats itself), so a second
        one of those hurries nobody. SIGHUP stays ignored where it is, as under nohup.
        """
        handlers = {number: signal.getsignal(number) for number in _NUMBERS}
        if handlers[signal.SIGHUP] == signal.SIG_IGN:
            del handlers[signal.SIGHUP]
        for number in handlers:
            signal.signal(number, self._remember)
        try:
            yield self
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
