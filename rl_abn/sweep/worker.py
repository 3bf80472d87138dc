"""A process that works on one unit: `python -m rl_abn.sweep.worker SWEEP_FOLDER UNIT_FILE DEVICE`.

Every engine runs units in it. It ends cleanly when its standard input does, so that no training
outlives whoever started it. The exit code is 0 where the unit is done, 130 where it was stopped,
75 where another process trains it, 2 for a mistake and 1 for any other failure; the unit's status
says why.
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

from rl_abn.errors import RlAbnError, without_control_characters
from rl_abn.process_memory import keep_freed_memory
from rl_abn.sweep import status
from rl_abn.sweep.plan import Unit

STOPPED, HELD = 130, 75
_received: list[int] = []


def main() -> None:
    """Works on the unit and exits."""
    out, file, device = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    unit = Unit.model_validate_json(file.read_text("utf-8"))
    folder = out / unit.name
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    os.nice(unit.machine.nice)
    keep_freed_memory()
    code, changes = _work(unit, folder, device)
    with suppress(RlAbnError):
        status.change_status(folder, sps=None, **changes)
    sys.exit(code)


def _work(unit: Unit, folder: Path, device: str) -> tuple[int, dict[str, object]]:
    """Returns the exit code, and what changes in the status."""
    try:
        import torch

        from rl_abn.runs.lock import holder_of
        from rl_abn.sweep.unit import work

        torch.set_num_threads(unit.machine.threads)
        if (holder := holder_of(folder)) is not None:
            return HELD, {"state": status.HELD, "message": f"{holder} has it"}
        if work(unit, folder, device):
            return 0, {"state": status.DONE, "message": "", "step": unit.steps}
    except KeyboardInterrupt:
        pass
    except RlAbnError as error:
        message = without_control_characters(" ".join(str(error).split()))
        print(f"rl-abn: error: {message}", file=sys.stderr)
        return 2, {"state": status.FAILED, "message": message}
    except Exception as error:
        if _received:  # an extension module that is interrupted while it loads may raise anything
            return STOPPED, {"state": status.STOPPED, "message": ""}
        traceback.print_exc()
        message = (
            f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no reason given')}"
        )
        return 1, {"state": status.FAILED, "message": message}
    return STOPPED, {"state": status.STOPPED, "message": ""}


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


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
