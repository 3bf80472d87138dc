"""A training that is killed again and again ends with the same bytes as one that is left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rl_abn.cli import main
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.runs import METRICS, TRAINING, WEIGHTS, step_of

ROLLOUT = 32  # steps between two logging points, and between two checkpoints
TWO_GAMES = ("algorithm.n_envs=2", "algorithm.n_steps=16")
SIZES = {
    "ppo_abn_paper": [*TWO_GAMES, "algorithm.batch_size=16", "algorithm.n_epochs=1"],
    "a2c_abn": [*TWO_GAMES],
    "ppo_mask_convlstm": [
        *TWO_GAMES,
        "algorithm.batch_size=16",
        "algorithm.n_epochs=1",
        "algorithm.sequence_length=8",
    ],
}
MOMENTS = ("saving", "training", "start-up")


def command(agent: str, folder: Path, keep: int, steps: int) -> list[str]:
    """The words after `rl-abn`."""
    settings = [
        *SIZES[agent],
        "protocol.legacy.max_frames=400",
        "train.n_probes=1",
        f"train.log_every={ROLLOUT}",
        f"train.checkpoint_every={ROLLOUT}",
    ]
    words = ["train", "--env", "pong", "--agent", agent, "--steps", str(steps)]
    words += ["--out", str(folder), "--on-exists", "resume", "--keep", str(keep)]
    words += ["--device", "cpu"]
    return words + [word for setting in settings for word in ("--set", setting)]


class Training:
    """`rl-abn train --on-exists resume` in a process of its own."""

    def __init__(self, agent: str, folder: Path, keep: int, steps: int) -> None:
        self.folder = folder
        self.rows_before = self.n_rows
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rl_abn", *command(agent, folder, keep, steps)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def watch(self) -> Iterator[None]:
        """Comes round again and again while the process lives."""
        while self.process.poll() is None:
            yield
            # Only once it trains does a moment last milliseconds.
            time.sleep(0.0005 if self.n_rows > self.rows_before else 0.02)

    def kill_at(self, moment: str, rng: np.random.Generator) -> str | None:
        """Kills the process; returns in what it was, or None where it ended before.

        Saving takes a few milliseconds: where it was over too soon, the next one is waited for,
        and the kill comes sooner after its beginning.
        """
        rows = self.n_rows
        longest = {"start-up": 4.0, "training": 0.3, "saving": 0.02}[moment]
        found = None
        while self.process.poll() is None:
            for _ in self.watch():
                if moment == "start-up" or (moment == "saving" and self.is_saving):
                    break
                if moment == "training" and self.n_rows > rows:
                    break
            until = time.monotonic() + rng.uniform(0, longest)
            for _ in self.watch():
                if time.monotonic() >= until or (moment == "start-up" and self.n_rows > rows):
                    break
            if self.process.poll() is not None:
                break
            # Stopped first: what the folder shows now is what the kill leaves.
            os.kill(self.process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            found = "saving" if self.is_saving else "training" if self.n_rows > rows else "start-up"
            if moment != "saving" or found == "saving":
                self.process.kill()
                break
            os.kill(self.process.pid, signal.SIGCONT)
            longest /= 2
        _, errors = self.process.communicate()
        assert "Traceback" not in errors
        if self.process.returncode == -signal.SIGKILL:
            return found
        assert self.process.returncode == 0, errors
        return None

    @property
    def is_saving(self) -> bool:
        """Whether a checkpoint is being written, put in place, or an old one removed."""
        return any((self.folder / "checkpoints").glob(".step-*"))

    @property
    def n_rows(self) -> int:
        """Logging points so far; the last may be cut off."""
        path = self.folder / METRICS
        return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.more
@pytest.mark.parametrize(
    ("agent", "keep", "kills", "steps"),
    [
        ("ppo_mask_convlstm", 2, 2, 192),
        *(
            pytest.param(agent, keep, 8, 512, marks=pytest.mark.full)
            for agent, keep in (("ppo_abn_paper", 2), ("a2c_abn", 0), ("ppo_mask_convlstm", 2))
        ),
    ],
)
def test_killed_and_resumed_ends_bit_identical(
    agent: str,
    keep: int,
    kills: int,
    steps: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    main(command(agent, whole, keep, steps))
    rng = np.random.default_rng([kills, *agent.encode()])
    landed: Counter[str] = Counter()
    while landed.total() < kills:
        moment = MOMENTS[landed.total() % len(MOMENTS)]
        found = Training(agent, killed, keep, steps).kill_at(moment, rng)
        if found is None:
            break
        landed[found] += 1
    capsys.readouterr()
    main(command(agent, killed, keep, steps))
    said = capsys.readouterr().err
    print(f"{agent}: {landed.total()} kills: {dict(landed)}")

    assert landed.total() == kills, "the training ended before it was killed often enough"
    assert landed["saving"] >= max(1, kills // len(MOMENTS))
    # A kill damages nothing: no checkpoint had to be set aside.
    assert "warning" not in said
    names = [sorted(p.name for p in (run / "checkpoints").iterdir()) for run in (whole, killed)]
    assert names[0] == names[1]
    assert len(names[0]) == (keep or steps // ROLLOUT)
    assert step_of(names[0][-1]) == steps
    for name in names[0]:
        for file in (WEIGHTS, TRAINING):
            first, second = (run / "checkpoints" / name / file for run in (whole, killed))
            assert first.read_bytes() == second.read_bytes(), f"{name}/{file}"
    rows = [learnt(run) for run in (whole, killed)]
    assert rows[0] == rows[1]
    assert [json.loads(row)["step"] for row in rows[0]] == list(range(ROLLOUT, steps + 1, ROLLOUT))
    maps = [
        {p.name: p.read_bytes() for p in run.glob("attention/maps/*")} for run in (whole, killed)
    ]
    assert maps[0] == maps[1]


def learnt(run: Path) -> list[str]:
    """The logging points as text, so that NaN equals itself.

    Clocks differ. So does what an update said of itself: it is logged at the next logging point,
    and lost when a kill comes between.
    """
    return [
        json.dumps(
            {
                key: row[key]
                for key in sorted(row)
                if not key.startswith(("time/", "train/", "system/"))
            }
        )
        for row in read_metrics(run / METRICS)
    ]
