"""Takes one measurement: `python -m rl_abn.bench.worker` reads a JSON spec and prints a JSON line.

The spec is the first argument or comes from standard input. After a failure the line holds the
reason under "failure", and the exit code is 1.
"""

from __future__ import annotations

import json
import os
import sys

from rl_abn.bench.spec import GAME_KINDS, OUR_KINDS, Measured, Spec
from rl_abn.errors import RlAbnError
from rl_abn.process_memory import keep_freed_memory, peak_rss_mib


def measure(spec: Spec) -> Measured:
    """Takes a measurement in this process.

    Raises:
        RlAbnError: If a recipe, setting or device of the spec cannot be used.
    """
    import torch

    from rl_abn.bench.emulators import MAKERS, time_emulator
    from rl_abn.bench.games import time_game
    from rl_abn.bench.trainings import time_ours, time_run, time_sb3

    load = os.getloadavg()[0]
    if spec.kind in OUR_KINDS:
        keep_freed_memory()  # as the command line does
    if spec.torch_threads:
        torch.set_num_threads(spec.torch_threads)
    shares: dict[str, float] = {}
    logging_cost = None
    if spec.kind in MAKERS:
        stopwatch = time_emulator(spec)
    elif spec.kind in GAME_KINDS:
        stopwatch = time_game(spec)
    elif spec.kind == "run":
        (stopwatch, shares), logging_cost = time_run(spec)
    else:
        stopwatch, shares = (time_sb3 if spec.kind == "sb3" else time_ours)(spec)
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return Measured(
        steps=stopwatch.steps,
        seconds=stopwatch.seconds,
        peak_rss_mib=peak_rss_mib(),
        peak_cuda_mib=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        load=load,
        shares=shares,
        logging_cost=logging_cost,
    )


def main() -> None:
    """Reads the spec and prints the measurement."""
    text = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read()
    try:
        output = measure(Spec.model_validate_json(text)).model_dump()
    except Exception as error:  # any failure is reported for this row; other rows go on
        kind = "" if isinstance(error, RlAbnError) else f"{type(error).__name__}: "
        reason = next(iter(str(error).splitlines()), "no reason given")
        print(json.dumps({"failure": kind + reason}))
        sys.exit(1)
    print(json.dumps(output))


if __name__ == "__main__":
    main()
