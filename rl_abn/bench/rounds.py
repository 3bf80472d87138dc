"""Measures the rows in turn, each measurement in its own process."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from rl_abn.bench.contenders import Contender
from rl_abn.bench.spec import Measured, Measurement, Spec

NOT_INSTALLED = "not installed"
WAIT_POLICY = "OMP_WAIT_POLICY"

Run = Callable[[Spec], Measured | str]


def measure_in_turn(
    contenders: Sequence[Contender],
    repeats: int,
    run: Run | None = None,
    taken: Collection[tuple[str, int]] = (),
) -> Iterator[Measurement]:
    """Measures A B C, A B C, …: slow changes of the machine's speed affect all rows alike.

    Args:
        contenders: The rows.
        repeats: Rounds.
        run: Takes a measurement, or returns in one line why it failed; None is `run_worker`.
        taken: Names and rounds of what was measured before and is left out.
    """
    run = run or run_worker
    for number in range(repeats):
        for contender in contenders:
            if (contender.name, number) in taken:
                continue
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
    """Takes a measurement in its own process; returns the reason if that fails.

    An interrupt kills the process.
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
        start_new_session=True,  # Ctrl-C reaches only us; we then kill the worker's whole group
    )
    try:
        out, err = worker.communicate()
    finally:
        if worker.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.communicate()
    return _parse_output(worker.returncode, out, err)


def _parse_output(code: int, out: str, err: str) -> Measured | str:
    """Parses a worker's last line; without one the worker failed."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    try:
        answer = json.loads(out.splitlines()[-1])
        return str(answer["failure"]) if "failure" in answer else Measured.model_validate(answer)
    except (IndexError, ValueError, TypeError, ValidationError):
        last = next((line for line in reversed(err.splitlines()) if line.strip()), "no answer")
        return f"exit code {code}: {last.strip()}"
