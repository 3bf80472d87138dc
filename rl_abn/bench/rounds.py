"""Takes the rows' measurements in turn, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from rl_abn.bench.contenders import Contender
from rl_abn.bench.spec import Measured, Measurement, Spec

NOT_INSTALLED = "not installed"
WAIT_POLICY = "OMP_WAIT_POLICY"

Run = Callable[[Spec], Measured | str]


def measure_in_turn(
    contenders: Sequence[Contender], repeats: int, run: Run | None = None
) -> Iterator[Measurement]:
    """Measures A B C, A B C, …: what drifts on the machine drifts for all of them.

    Args:
        contenders: The rows.
        repeats: Rounds.
        run: Takes a measurement, or says in one line why not; None is `run_worker`.
    """
    run = run or run_worker
    for number in range(repeats):
        for contender in contenders:
            required = contender.requires
            if required is not None and importlib.util.find_spec(required) is None:
                found: Measured | str = NOT_INSTALLED
            else:
                found = run(contender.spec)
            yield (
                Measurement(row=contender.name, round=number, failure=found)
                if isinstance(found, str)
                else Measurement(row=contender.name, round=number, measured=found)
            )


def run_worker(spec: Spec) -> Measured | str:
    """Takes a measurement in a process of its own; returns the reason if that fails.

    An interrupt ends the process too.
    """
    environment = dict(os.environ)
    environment.pop(WAIT_POLICY, None)
    if spec.wait_policy != "default":
        environment[WAIT_POLICY] = spec.wait_policy
    worker = subprocess.Popen(
        [sys.executable, "-m", "rl_abn.bench.worker", spec.model_dump_json()],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C comes to us alone, and whatever it starts goes with it
    )
    try:
        out, err = worker.communicate()
    finally:
        if worker.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.communicate()
    return _understand(worker.returncode, out, err)


def _understand(code: int, out: str, err: str) -> Measured | str:
    """Reads a worker's last line; a worker that left none failed."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    try:
        answer = json.loads(out.splitlines()[-1])
        return str(answer["failure"]) if "failure" in answer else Measured.model_validate(answer)
    except (IndexError, ValueError, TypeError, ValidationError):
        last = next((line for line in reversed(err.splitlines()) if line.strip()), "no answer")
        return f"exit code {code}: {last.strip()}"
