"""Runs cases, each in a process forked from one that has imported everything, and checks them."""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.grammar import Case, make_case

LIMIT_S = 60.0
_IN_PROCESS_OF_ITS_OWN = 99  # one in so many is run as a user would
_RUNS = ("agent", "classifier")
# A warning, or the progress of work that had begun: "fine-tuning: 1/1 epochs  ETA 0:00:00".
_BESIDE = re.compile(r"rl-abn: warning: |[\w -]+: [\d,]+/[\d,]+ .*ETA ")


@dataclass
class Failure:
    """A case that went wrong."""

    seed: int
    i: int
    why: str
    case: Case
    said: str

    def __str__(self) -> str:
        command = f"rl-abn {shlex.join(self.case.words)}"
        again = f"scripts/fuzz --only {self.i} 1 {self.seed}"
        said = self.said.strip()[-1500:]
        return (
            f"{self.why} ({self.case.kind}: {self.case.done})\n  repeat: {again}\n"
            f"  {command!a}\n    " + "\n    ".join(ascii(line)[1:-1] for line in said.splitlines())
        )


@dataclass
class Report:
    """What came of the cases.

    Attributes:
        tried: Cases by kind and exit code; "hang" where it took too long.
        failures: What went wrong.
        slowest: Seconds of the slowest case.
    """

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0

    def table(self) -> str:
        """Lays it out: a line a kind, a column an exit code."""
        codes = sorted({code for _, code in self.tried})
        lines = [f"{'kind':14}{'tried':>7}" + "".join(f"{f'exit {code}':>10}" for code in codes)]
        kinds = list(dict.fromkeys(kind for kind, _ in sorted(self.tried)))
        for kind in (*kinds, "all"):
            counts = [
                sum(n for (k, c), n in self.tried.items() if c == code and kind in (k, "all"))
                for code in codes
            ]
            lines.append(f"{kind:14}{sum(counts):>7,}" + "".join(f"{n:>10,}" for n in counts))
        whys = Counter(failure.why.partition(":")[0] for failure in self.failures)
        wrong = ", ".join(f"{n} {why}" for why, n in sorted(whys.items())) or "none"
        return "\n".join([*lines, f"failures: {wrong}; the slowest case took {self.slowest:.0f} s"])


def import_everything() -> None:
    """Imports what the commands import, once, and lets torch compute in one thread."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import PIL.Image
    import torch
    import torch._dynamo  # optimizers ask for it

    import rl_abn

    torch.set_num_threads(1)  # threads do not outlive a fork
    PIL.Image.preinit()
    for module in pkgutil.walk_packages(rl_abn.__path__, "rl_abn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a child would copy every page that its collector looks through


def run_cases(
    material: Path, scratch: Path, seed: int, cases: Iterable[int], *, show: bool = False
) -> Report:
    """Runs cases of a seed.

    Args:
        material: As `make_material` made it; it stays as it is.
        scratch: A folder where each case gets a copy of it.
        seed: Of the grammar.
        cases: Their numbers.
        show: Whether each case's command and last line are printed.
    """
    report = Report()
    for i in cases:
        case = make_case(seed, i)
        folder = scratch / str(i)
        shutil.copytree(material, folder, symlinks=True)
        for damage in case.damage:
            damage(folder)
        before = _contents(folder)
        start = time.monotonic()
        code = (_run_apart if i % _IN_PROCESS_OF_ITS_OWN == 18 else run_forked)(case.words, folder)
        report.slowest = max(report.slowest, time.monotonic() - start)
        out, err = (_read(scratch / f"{i}.{name}") for name in ("out", "err"))
        why = _wrong(case, code, out, err, before, folder)
        report.tried[case.kind, "hang" if code is None else str(code)] += 1
        if show:
            last = (err.strip().splitlines() or [""])[-1][:200]
            seconds = time.monotonic() - start
            print(f"{seconds:.1f} s, {i} [{case.kind}: {case.done}] {code} {last!a}", flush=True)
        if why:
            report.failures.append(Failure(seed, i, why, case, err))
            print(report.failures[-1], flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("out", "err"):
            (scratch / f"{i}.{name}").unlink(missing_ok=True)
    return report


def run_forked(words: list[str], folder: Path) -> int | None:
    """Runs a command line in a folder; what it prints is in FOLDER.out and FOLDER.err.

    Returns:
        The exit code; None where it took too long.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            os.chdir(folder)
            _redirect(folder)
            code = _exit_code(words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + LIMIT_S
    wait = 0.002
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(wait)
        wait = min(0.05, wait * 1.5)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _redirect(folder: Path) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(folder.with_name(f"{folder.name}.{name}"), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # pytest replaces these; what is written has to arrive in the files.
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _exit_code(words: list[str]) -> int:
    from rl_abn.cli import main

    try:
        main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _run_apart(words: list[str], folder: Path) -> int | None:
    """The same in a fresh interpreter."""
    files = [folder.with_name(f"{folder.name}.{name}").open("wb") for name in ("out", "err")]
    import rl_abn

    environment = {**os.environ, "PYTHONPATH": str(Path(rl_abn.__file__).parents[1])}
    command = [sys.executable, "-m", "rl_abn", *map(os.fsencode, words)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=files[0],
            stderr=files[1],
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    finally:
        for file in files:
            file.close()
    return done.returncode


def _wrong(
    case: Case, code: int | None, out: str, err: str, before: set[str], folder: Path
) -> str | None:
    """Returns what is wrong with an outcome."""
    if code is None:
        return f"hang: over {LIMIT_S:.0f} s"
    if "Traceback" in out + err:
        return f"traceback: {err.strip().splitlines()[-1] if err.strip() else ''}"
    if code not in (0, 2):
        return f"exit code: {code}"
    said = [line for line in err.splitlines() if not _BESIDE.match(line)]
    if code == 2 and not (len(said) == 1 and said[0].startswith("rl-abn: error: ")):
        return f"not one line: {len(said)}"
    replaces = code == 0 and "resume" in case.words
    if not replaces and (lost := before - _contents(folder)):
        return f"lost: {len(lost)} files"
    return None


def _contents(folder: Path) -> set[str]:
    """Returns the hashes of what lies in the runs, except of what a command notes about itself."""
    found = set()
    for run in _RUNS:
        for path in (folder / run).rglob("*"):
            if path.is_file() and path.name != "meta.json":
                found.add(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""
