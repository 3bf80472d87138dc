"""Sweeps of a few steps on small networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

SMALL = [
    "algorithm.n_envs=2",
    "algorithm.n_steps=16",
    "algorithm.batch_size=16",
    "algorithm.n_epochs=1",
    "protocol.legacy.max_frames=400",
    "train.n_probes=1",
    "train.log_every=32",
    "train.reliance_every=0",
    "train.precision=fp32",
]
"""Settings of a training whose rollouts are 32 steps."""


def write_sweep(folder: Path, more: str = "", **keys: object) -> Path:
    """Writes a sweep's file: keys by name, and more TOML below them."""
    all_keys = {
        "games": ["pong"],
        "agents": ["ppo_cnn"],
        "seeds": 2,
        "steps": 64,
        "set": SMALL,
        **keys,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in all_keys.items()]
    machine = "" if "[machine]" in more else '[machine]\ndevices = ["cpu"]\nnice = 0\n'
    path = folder / "few.toml"
    path.write_text("\n".join([*lines, more, machine]))
    return path


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sweep's file into the test's folder, as `write_sweep` does."""
    return partial(write_sweep, tmp_path)
