"""A sweep that is killed twice on the way ends with the bytes of trainings one after the other.

SWEEP_STEPS=4096 makes the trainings longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from rl_abn.cli import main
from rl_abn.runs import TRAINING, WEIGHTS, name_of
from rl_abn.runs.lock import LOCK, holder_of
from rl_abn.sweep.drive import check_done
from rl_abn.sweep.plan import Plan, find_plan

STEPS = int(os.environ.get("SWEEP_STEPS", "768"))
N_ENVS = 2 if STEPS < 4096 else 8
ROLLOUT = 32 * N_ENVS
SETTINGS = [
    f"algorithm.n_envs={N_ENVS}",
    "algorithm.n_steps=32",
    "algorithm.batch_size=32",
    "algorithm.n_epochs=1",
    "protocol.legacy.max_frames=400",
    "train.n_probes=1",
    f"train.log_every={ROLLOUT}",
    "train.reliance_every=0",
    "train.precision=fp32",
    "train.checkpoint_every_game_steps=32",
    "train.keep=2",
]
GAMES, AGENTS, SEEDS = ["pong", "space_invaders"], ["ppo_abn_paper", "a2c_cnn"], [0, 3]
A2C = [setting for setting in SETTINGS if "batch_size" not in setting and "epochs" not in setting]

ENGINES = [
    "local",
    pytest.param(
        "ray",
        marks=pytest.mark.skipif(
            find_spec("ray") is None, reason="Ray is not installed (the extra 'ray')"
        ),
    ),
    pytest.param(
        "slurm",
        marks=pytest.mark.skipif(
            find_spec("submitit") is None, reason="submitit is not installed (the extra 'slurm')"
        ),
    ),
]


def sweep_text() -> str:
    ppo = [setting for setting in SETTINGS if setting not in A2C]
    return f"""
games = {json.dumps(GAMES)}
agents = {json.dumps(AGENTS)}
seeds = {json.dumps(SEEDS)}
steps = {STEPS}
set = {json.dumps(A2C)}

[arms]
p = {{ agents = ["ppo_abn_paper"], set = {json.dumps(ppo)} }}
a = {{ agents = ["a2c_cnn"] }}

[machine]
devices = ["cpu"]
nice = 0

[slurm]
cluster = "local"
"""


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same trainings with `rl-abn train`, one after the other, never cut."""
    folder = tmp_path_factory.mktemp("serial")
    for game in GAMES:
        for agent in AGENTS:
            for seed in SEEDS:
                words = ["train", "--env", game, "--agent", agent, "--seed", str(seed)]
                words += ["--steps", str(STEPS), "--device", "cpu"]
                words += ["--out", str(folder / game / agent / str(seed))]
                chosen = SETTINGS if agent.startswith("ppo") else A2C
                alone = ["train.env_parts=1", "train.checkpoint_every_minutes=0"]
                main(words + [word for setting in (*chosen, *alone) for word in ("--set", setting)])
    return folder


class Sweep:
    """`rl-abn sweep` in a process of its own."""

    def __init__(self, file: Path, engine: str, out: Path) -> None:
        self.out = out
        words = ["sweep", str(file), "--engine", engine, "--out", str(out), "--workers", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rl_abn", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until(self, n_saved: int) -> None:
        """Waits until some unfinished unit has saved so many checkpoints since it was begun."""
        before = self.saved()
        while self.process.poll() is None:
            now = self.saved()
            if any(step >= before.get(name, 0) + n_saved * ROLLOUT for name, step in now.items()):
                return
            time.sleep(0.01)
        raise AssertionError(f"the sweep ended too early: {self.process.communicate()[0]}")

    def saved(self) -> dict[str, int]:
        """The newest step of each unit that is not at its end."""
        found = {}
        for path in self.out.glob("*/*/seed-*/checkpoints/step-*"):
            name, step = str(path.parents[1]), int(path.name.removeprefix("step-"))
            found[name] = max(found.get(name, 0), step)
        return {name: step for name, step in found.items() if step < STEPS}

    def end(self) -> tuple[int, str]:
        """Waits for the end; returns the exit code and what was printed."""
        said = self.process.communicate(timeout=1500)[0]
        return self.process.returncode, said


def workers(out: Path) -> Iterator[int]:
    """The processes that train now."""
    for lock in out.glob(f"*/*/seed-*/{LOCK}"):
        holder = holder_of(lock.parent)
        if holder is not None:
            yield holder.pid


def wait_for_workers(out: Path) -> None:
    until = time.monotonic() + 120
    while list(workers(out)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not list(workers(out))


def stamps(plan: Plan) -> dict[str, int]:
    """When the last checkpoint of every unit that is done was written."""
    return {
        unit.name: (plan.out / unit.name / "checkpoints" / name_of(STEPS)).stat().st_mtime_ns
        for unit in plan.units
        if check_done(plan, unit)
    }


@pytest.mark.full
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_twice_a_sweep_has_the_bytes_of_serial_trainings(
    engine: str, serial: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "four.toml", tmp_path / "out"
    file.write_text(sweep_text())

    # The power goes: whoever drives is killed, and whoever trains, too.
    sweep = Sweep(file, engine, out)
    sweep.wait_until(n_saved=3)
    sweep.process.kill()
    for pid in workers(out):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    sweep.end()
    wait_for_workers(out)
    plan = find_plan(out)
    assert len(plan.units) == 8
    cut = sweep.saved()
    assert cut
    done = stamps(plan)

    # Ctrl-C: the units save.
    sweep = Sweep(file, engine, out)
    sweep.wait_until(n_saved=2)
    sweep.process.send_signal(signal.SIGINT)
    code, said = sweep.end()
    assert code == 130, said
    assert "stopped; what was trained is saved" in said
    assert not list(workers(out))
    assert sweep.saved()
    done = {**stamps(plan), **done}
    assert len(done) < 8

    code, said = Sweep(file, engine, out).end()
    assert code == 0, said
    assert "8 of 8 done" in said
    now = stamps(plan)
    assert {name: now[name] for name in done} == done  # none was trained twice
    for unit in plan.units:
        checkpoint = Path("checkpoints", name_of(STEPS))
        alone = serial / unit.env_name / unit.agent / str(unit.seed) / checkpoint
        for kind in (WEIGHTS, TRAINING):
            found = (out / unit.name / checkpoint / kind).read_bytes()
            assert found == (alone / kind).read_bytes(), f"{unit.name}: {kind}"
