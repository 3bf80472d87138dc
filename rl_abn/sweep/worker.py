"""A process that works on one unit: `python -m rl_abn.sweep.worker SWEEP_FOLDER UNIT_FILE DEVICE`.

Every engine runs units in it. It ends cleanly when its standard input does, so that no training
outlives whoever started it. The exit code is 0 where the unit is done, 130 where it was stopped,
75 where another process trains it, 2 for a mistake and 1 for any other failure; the unit's status
says why.

Nothing that takes long is imported before signals are in hand.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rl_abn.errors import RlAbnError, without_control_characters

if TYPE_CHECKING:
    from rl_abn.sweep.plan import Unit

DONE, FAILED, MISTAKE, HELD, STOPPED = 0, 1, 2, 75, 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Works on the unit, writes down how it ended, and exits."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    message = ""
    try:
        for number in _SIGNALS:
            signal.signal(number, interrupt)
        # Ray blocks Ctrl-C for its own processes, and who is started by one inherits that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        code, message = _work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except KeyboardInterrupt:
        code = STOPPED
    except RlAbnError as error:
        code, message = MISTAKE, without_control_characters(" ".join(str(error).split()))
        print(f"rl-abn: error: {message}", file=sys.stderr)
    except Exception as error:
        code = STOPPED
        if not received:  # an extension module that is interrupted while it loads may raise any
            traceback.print_exc()
            from rl_abn.files.text import kind_and_reason

            code, message = FAILED, kind_and_reason(error)
    for number in _SIGNALS:  # it ends anyway, and what it says of itself has to be whole
        signal.signal(number, signal.SIG_IGN)
    _write_down(Path(sys.argv[2]), code, message)
    sys.exit(code)


def _work(out: Path, file: Path, device: str) -> tuple[int, str]:
    """Returns the exit code, and what there is to say."""
    unit = _read(file)
    os.nice(unit.machine.nice)

    import torch

    from rl_abn.process_memory import keep_freed_memory
    from rl_abn.runs.lock import holder_of
    from rl_abn.sweep.unit import work

    keep_freed_memory()
    torch.set_num_threads(unit.machine.threads)
    if (holder := holder_of(out / unit.name)) is not None:
        return HELD, f"{holder} has it"
    return (DONE if work(unit, out / unit.name, device) else STOPPED), ""


def _write_down(file: Path, code: int, message: str) -> None:
    from rl_abn.sweep import status

    states = {DONE: status.DONE, HELD: status.HELD, STOPPED: status.STOPPED}
    changes: dict[str, Any] = {"state": states.get(code, status.FAILED), "message": message}
    with suppress(RlAbnError, OSError, ValueError):
        if code == DONE:
            changes["step"] = _read(file).steps
        folder = file.with_name(file.name.removesuffix(".unit.json"))
        status.change_status(folder, sps=None, **changes)


def _read(file: Path) -> Unit:
    from rl_abn.sweep.plan import Unit

    return Unit.model_validate_json(file.read_text("utf-8"))


def _stop_at_end_of_input() -> None:
    """Asks this process to stop once nobody holds the other end of its standard input."""
    while True:
        try:
            if not os.read(0, 1024):
                break
        except OSError:
            break
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
