"""`rl-abn bench` as it is typed; what workers find is put in their place."""

from __future__ import annotations

import json
import re

import pytest

from rl_abn.bench import rounds
from rl_abn.bench.spec import Measured


@pytest.fixture
def workers(monkeypatch):
    """Workers that all find 500 steps a second; returns the specs they were given."""
    specs = []

    def find(spec):
        specs.append(spec)
        return Measured(steps=1000, seconds=2.0, peak_rss_mib=100.0)

    monkeypatch.setattr(rounds, "run_worker", find)
    return specs


def test_measure_print_and_keep(rl_abn, workers, folder):
    words = ("--only", "sb3_ppo", "--only", "ppo_abn", "--repeats", "2", "--seconds", "7")
    result = rl_abn("bench", *words, "--device", "cpu", "--threads", "3", "--json", "new/b.json")
    assert result.code == 0
    assert [spec.kind for spec in workers] == ["sb3", "ours"] * 2
    assert {(spec.seconds, spec.torch_threads) for spec in workers} == {(7.0, 3)}
    assert "ppo_abn as it comes" in result.out
    assert "1.00" in result.out
    assert "measuring: 4/4 measurements  last ppo_abn  SPS 500" in result.err
    assert len(json.loads((folder / "new/b.json").read_text())["measurements"]) == 4

    again = rl_abn("bench", "--from", "new/b.json", "--markdown")
    assert again.code == 0
    assert "| `ppo_abn` | ppo_abn as it comes | 500 | 1.00 | 100 |" in again.out
    assert len(workers) == 4


def test_quick_is_one_round_of_a_few_rows(rl_abn, workers):
    assert rl_abn("bench", "--quick").code == 0
    assert 5 < len(workers) < 15
    assert {spec.seconds for spec in workers} == {2.0}


def test_settings_reach_our_rows_alone(rl_abn, workers):
    rl_abn(
        "bench", "--quick", "--only", "ppo_abn", "--only", "sb3_ppo", "--set", "train.n_probes=1"
    )
    assert [spec.settings for spec in workers] == [(), ("train.n_probes=1",)]


def test_list_measures_nothing(rl_abn, workers):
    result = rl_abn("bench", "--list", "--only", "logging")
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["logging", "ppo_abn_bare"],
        ["logging", "ppo_abn_run"],
    ]
    assert workers == []


def test_columns_of_the_list_do_not_run_into_one_another(rl_abn, workers):
    lines = rl_abn("bench", "--list").out.splitlines()
    name = "ppo_mask_convlstm_fp32"  # longer than most
    assert any(line.split()[:3] == ["ppo", name, "ppo_mask_convlstm,"] for line in lines)
    starts = {re.match(r"(\S+ +)\S+ +", line).end() for line in lines}
    assert len(starts) == 1
    assert max(len(line.split()[1]) for line in lines) >= len(name)


def test_an_interrupt_keeps_what_was_measured(rl_abn, monkeypatch, folder):
    left = iter([Measured(steps=10, seconds=1.0, peak_rss_mib=1.0)])

    def find(spec):
        try:
            return next(left)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(rounds, "run_worker", find)
    result = rl_abn("bench", "--only", "ppo", "--json", "b.json")
    assert result.code == 130
    kept = json.loads((folder / "b.json").read_text())
    assert kept["interrupted"] is True
    assert [m["row"] for m in kept["measurements"]] == ["sb3_ppo"]


def test_one_row_that_fails_is_no_mistake_but_all_are(rl_abn, monkeypatch):
    monkeypatch.setattr(rounds, "run_worker", lambda spec: "ValueError: broken")
    result = rl_abn("bench", "--only", "logging", "--repeats", "1")
    assert result.code == 2
    assert result.err.endswith(
        "rl-abn: error: expected a row that can be measured, got none: ValueError: broken\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "ppo_abm"), "unknown row or group 'ppo_abm': did you mean 'ppo_abn'?"),
        (("--env", "pongo"), "unknown env 'pongo': did you mean 'pong'?"),
        (("--onyl", "ppo"), "unknown option '--onyl': did you mean '--only'?"),
        (("--set", "train.n_probe=3"), "--set train.n_probe=3: unknown key 'train.n_probe': did"),
        (("--device", "gpu"), "expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (("--from", "none.json"), "none.json: expected JSON, got "),
    ],
)
def test_mistakes(mistake, workers, words, message):
    assert mistake("bench", *words).startswith(message)
    assert workers == []
