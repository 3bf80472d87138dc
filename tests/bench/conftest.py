from __future__ import annotations

import pytest

from rl_abn.bench.contenders import Setting, all_contenders, select
from rl_abn.bench.result import Result
from rl_abn.bench.spec import Measured, Measurement

MACHINE = {
    "cpu": "A Processor",
    "cores": 4,
    "device_name": "CPU",
    "load": 0.25,
    "versions": {"torch": "2.13.0", "stable-baselines3": "2.9.2", "ale-py": "0.12.1"},
    "command": "rl-abn bench",
    "started": "2026-01-01T00:00:00+00:00",
}
SHARES = {"emulator": 0.5, "acting": 0.25, "learning": 0.125, "logging": 0.0625, "other": 0.0625}


@pytest.fixture
def rows():
    """Five rows: two of PPO, an emulator that is not installed, two about logging."""
    contenders = all_contenders(Setting(cores=1))
    return select(contenders, ["sb3_ppo", "ppo_abn", "envpool", "logging"])


@pytest.fixture
def result(rows):
    """Two rounds: ppo_abn is 2 and 3 times SB3's, and failed in a third."""

    def measured(row, number, seconds, **fields):
        found = Measured(steps=1000, seconds=seconds, peak_rss_mib=500, shares=SHARES, **fields)
        return Measurement(row=row, round=number, measured=found)

    return Result(
        machine=MACHINE,
        repeats=3,
        contenders=tuple(rows),
        measurements=(
            Measurement(row="envpool", round=0, failure="not installed"),
            measured("sb3_ppo", 0, 4.0),
            measured("ppo_abn", 0, 2.0),
            measured("sb3_ppo", 1, 6.0),
            measured("ppo_abn", 1, 2.0),
            measured("sb3_ppo", 2, 5.0),
            Measurement(row="ppo_abn", round=2, failure="killed by SIGKILL"),
            measured("ppo_abn_bare", 0, 1.0),
            measured("ppo_abn_run", 0, 1.25, logging_cost=0.0125),
        ),
    )
