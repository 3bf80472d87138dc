"""The order of the measurements, and what becomes of a worker that fails."""

from __future__ import annotations

import pytest

from rl_abn.bench import rounds
from rl_abn.bench.contenders import Setting, all_contenders, select
from rl_abn.bench.rounds import measure_in_turn, run_worker
from rl_abn.bench.spec import Measured, Spec

FOUND = Measured(steps=10, seconds=2.0, peak_rss_mib=1.0)


@pytest.fixture
def three():
    return select(all_contenders(Setting(cores=1)), ["sb3_ppo", "ppo_abn", "a2c_abn"])


def test_in_turn(three):
    asked = []
    taken = list(measure_in_turn(three, 2, lambda spec: asked.append(spec.agent) or FOUND))
    assert asked == ["ppo", "ppo_abn", "a2c_abn"] * 2
    assert [(m.row, m.round) for m in taken] == [
        ("sb3_ppo", 0),
        ("ppo_abn", 0),
        ("a2c_abn", 0),
        ("sb3_ppo", 1),
        ("ppo_abn", 1),
        ("a2c_abn", 1),
    ]
    assert {m.measured.sps for m in taken} == {5.0}


def test_what_was_taken_before_is_left_out(three):
    taken = {("sb3_ppo", 0), ("ppo_abn", 0), ("a2c_abn", 1)}
    rest = list(measure_in_turn(three, 2, lambda spec: FOUND, taken))
    assert [(m.row, m.round) for m in rest] == [("a2c_abn", 0), ("sb3_ppo", 1), ("ppo_abn", 1)]


def test_the_others_go_on_when_one_fails(three):
    taken = list(measure_in_turn(three, 1, lambda s: "broken" if s.agent == "ppo_abn" else FOUND))
    assert [m.failure for m in taken] == [None, "broken", None]


def test_what_is_not_installed_is_not_run(three):
    rows = [three[0].model_copy(update={"requires": "a_module_nobody_has"})]
    (taken,) = measure_in_turn(rows, 1, lambda spec: pytest.fail("it was run"))
    assert taken.failure == "not installed"


@pytest.mark.parametrize(
    ("code", "out", "err", "reason"),
    [
        (-9, "", "", "killed by SIGKILL"),
        (1, '{"failure": "ValueError: no"}\n', "noise", "ValueError: no"),
        (1, "", "Traceback\nModuleNotFoundError: no torch\n", "exit code 1: ModuleNotFoundError: "),
        (0, "noise\n", "", "exit code 0: no answer"),
        (0, "", "", "exit code 0: no answer"),
        (0, '{"steps": "many"}', "", "exit code 0: no answer"),
    ],
)
def test_every_end_of_a_worker_has_its_line(code, out, err, reason):
    found = rounds._parse_output(code, out, err)
    assert isinstance(found, str)
    assert found.startswith(reason)
    assert "\n" not in found


def test_noise_before_the_answer_is_passed_over():
    assert rounds._parse_output(0, "a banner\n" + FOUND.model_dump_json(), "") == FOUND


@pytest.mark.parametrize("policy", ["default", "passive"])
def test_a_worker_gets_its_wait_policy(policy, tmp_path, monkeypatch):
    """A Python that answers with what it found in its environment."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\nprintf \'{"failure": "%s"}\' "${OMP_WAIT_POLICY-default}"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(rounds.sys, "executable", str(fake))
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert run_worker(Spec(kind="ale", env="pong", wait_policy=policy)) == policy


def test_an_interrupt_ends_the_worker(tmp_path, monkeypatch):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(rounds.sys, "executable", str(fake))
    started = []

    class Interrupted(rounds.subprocess.Popen):
        def communicate(self, *args, **kwargs):
            if not started:
                started.append(self)
                raise KeyboardInterrupt
            return super().communicate(*args, **kwargs)

    monkeypatch.setattr(rounds.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_worker(Spec(kind="ale", env="pong"))
    assert started[0].returncode == -9
