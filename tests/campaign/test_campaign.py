"""A campaign in pieces: its order, its exit codes, and that it ends with the same bytes."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.bench.spec import Measured
from rl_abn.campaign import campaign as campaigns
from rl_abn.campaign import measurements
from rl_abn.campaign.campaign import REHEARSED_STEPS, Campaign
from rl_abn.campaign.recipe import read_campaign
from rl_abn.cli import main
from rl_abn.files.text import write_output
from rl_abn.runs import TRAINING, WEIGHTS, Run
from rl_abn.sweep.drive import Outcome, check_done
from rl_abn.sweep.exact import exact_checkpoints
from rl_abn.sweep.plan import Plan, find_plan
from rl_abn.sweep.unit import evaluation_file, is_trained
from tests.complaints import complaint
from tests.sweep.conftest import SMALL, write_sweep

EVAL = "[eval]\nepisodes = 2\nmax_steps = 4\nblind = 'none'"
TEXT = """
device = "cpu"
sweeps = ["few.toml"]
protocols = ["legacy", "machado2018"]

[bench.rows]
only = ["ale_1", "ppo_cnn"]
repeats = 2
seconds = 1

[agreement.plain]
agents = ["a2c_cnn"]
"""
FOUND = Measured(steps=10, seconds=2.0, peak_rss_mib=1.0)
CHECK = {"device": "cpu", "precision": "fp32", "deviation": {"log_prob": 0.0}, "mixed_up": 1.0}
SCRIPTED = {**CHECK, "agrees": True}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_sweep(tmp_path, EVAL)
    (tmp_path / "tiny.toml").write_text(TEXT)
    return tmp_path / "tiny.toml"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Measures and trains in no time; returns what was driven: the protocol, the units."""
    driven: list[tuple[str, list[str]]] = []

    def drive(plan: Plan, make: Any, board: Any, seconds: float) -> Outcome:
        assert plan.recipe.eval is not None
        driven.append((str(plan.recipe.eval.protocol), [unit.name for unit in plan.units]))
        plan.write()
        for unit in plan.units:
            assert unit.eval is not None
            folder = plan.out / unit.name
            if not is_trained(unit, folder):
                Run.create(folder, unit.recipe(), "cpu").update_meta(
                    status="finished", steps=unit.steps
                )
            write_output(evaluation_file(unit.eval, folder), {})
        done = tuple(unit.name for unit in plan.units)
        return Outcome(done, {}, (), None, goes_on=False)

    monkeypatch.setattr(campaigns, "drive", drive)
    monkeypatch.setattr("rl_abn.bench.rounds.run_worker", lambda spec: FOUND)
    monkeypatch.setattr(measurements, "_checked", lambda *arguments: SCRIPTED)
    return driven


def test_all_of_it_in_its_order(
    file: Path, tmp_path: Path, scripted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    main(["campaign", str(file), "--work", str(work)])
    units = ["seed-0", "seed-1"]
    assert [(p, [Path(u).name for u in names]) for p, names in scripted] == [
        ("legacy", units),
        ("machado2018", units),
    ]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"campaign folder: {work}"
    assert [line for line in said if line.endswith("done")] == [
        "bench-rows: 1 of 1 done",
        "agreement-plain: 1 of 1 done",
        "few trainings: 2 of 2 done",
        "few evaluations (legacy): 2 of 2 done",
        "few evaluations (machado2018): 2 of 2 done",
    ]
    assert said[-1].startswith("all done; reports are in ")
    kept = json.loads((work / "bench-rows.json").read_text())
    assert [(m["row"], m["round"]) for m in kept["measurements"]] == [
        ("ale_1", 0),
        ("ppo_cnn", 0),
        ("ale_1", 1),
        ("ppo_cnn", 1),
    ]
    # Again: nothing is done again.
    scripted.clear()
    main(["campaign", str(file), "--work", str(work)])
    assert [protocol for protocol, _ in scripted] == ["legacy"]  # looks once more what is left
    assert len(find_plan(work / "few").units) == 2


def test_a_check_that_fails_is_named_and_the_rest_is_done(
    file: Path,
    tmp_path: Path,
    scripted: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    differs = {**SCRIPTED, "deviation": {"log_prob": 0.5}, "agrees": False}
    monkeypatch.setattr(measurements, "_checked", lambda *arguments: differs)
    with pytest.raises(SystemExit) as ended:
        main(["campaign", str(file), "--work", str(tmp_path / "work")])
    assert ended.value.code == 1
    assert len(scripted) == 2
    said = capsys.readouterr().out
    assert "failed: agreement-plain/a2c_cnn: a2c_cnn: ROLLOUT AND UPDATE DIFFER (cpu, fp32)" in said


def test_without_time_nothing_is_begun_and_the_exit_code_says_so(
    file: Path, tmp_path: Path, scripted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["campaign", str(file), "--work", str(tmp_path / "work"), "--minutes", "0.0001"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 75
    assert scripted == []
    more, again = capsys.readouterr().out.splitlines()[-2:]
    assert more == "more to do: next bench-rows; 128 steps to train"
    assert again == "rl-abn " + " ".join(words)


def test_measurements_go_on_where_they_stopped(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, kept = read_campaign(file).bench["rows"], tmp_path / "bench.json"
    now = [0.0]
    monkeypatch.setattr(measurements.time, "monotonic", lambda: now[0])

    def run(spec: Any) -> Measured:
        now[0] += 10
        return FOUND

    monkeypatch.setattr("rl_abn.bench.rounds.run_worker", run)
    assert not measurements.measure_speed(table, kept, "cpu", ends_at=30)  # 16 s each: two fit
    assert not measurements.is_measured(kept, table)
    assert measurements.measure_speed(table, kept, "cpu", ends_at=1000)
    assert now[0] == 40
    assert measurements.is_measured(kept, table)


def test_an_edited_measurement_is_taken_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, kept = read_campaign(file).bench["rows"], tmp_path / "bench.json"
    monkeypatch.setattr("rl_abn.bench.rounds.run_worker", lambda spec: FOUND)
    assert measurements.measure_speed(table, kept, "cpu", ends_at=math.inf)

    def is_measured(**changes: Any) -> bool:
        return measurements.is_measured(kept, table.model_copy(update=changes))

    assert is_measured()
    assert is_measured(repeats=1)
    assert not is_measured(repeats=3)
    assert not is_measured(only=("ale_1", "ppo_abn"))
    assert not is_measured(only=("ale_1",))
    assert not is_measured(set=("train.compile=true",))
    assert not is_measured(seconds=2)
    # Nothing is measured again because it is another machine.
    monkeypatch.setattr(measurements, "usable_cores", lambda: 64)
    assert is_measured()


def test_a_row_that_the_machine_of_the_measurements_did_not_have_is_not_measured(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, kept = read_campaign(file).bench["rows"], tmp_path / "bench.json"
    monkeypatch.setattr("rl_abn.bench.rounds.run_worker", lambda spec: FOUND)
    measurements.measure_speed(table, kept, "cpu", ends_at=math.inf)
    larger = table.model_copy(update={"only": ("ale_1", "ppo_abn_4096_threads")})
    assert not measurements.is_measured(kept, larger)


def test_an_edited_check_is_made_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, kept = read_campaign(file).agreement["plain"], tmp_path / "agreement.json"
    edited = table.model_copy(update={"set": ("train.precision=bf16",)})
    asked: list[tuple[str, ...]] = []

    def checked(agent: str, device: str, settings: tuple[str, ...]) -> dict[str, Any]:
        asked.append(settings)
        return {**SCRIPTED, "agrees": settings == table.set}

    monkeypatch.setattr(measurements, "_checked", checked)
    for _ in range(2):
        measurements.check_agreement(table, kept, "cpu", ends_at=math.inf)
    assert measurements.is_checked(kept, table)
    assert not measurements.is_checked(kept, edited)
    measurements.check_agreement(edited, kept, "cpu", ends_at=math.inf)
    assert asked == [table.set, edited.set]
    assert measurements.is_checked(kept, edited)
    assert list(measurements.disagreements(kept, edited)) == ["a2c_cnn"]
    # Nobody asks about an agent that the table names no longer.
    fewer = edited.model_copy(update={"agents": ("a2c_abn",)})
    assert measurements.disagreements(kept, fewer) == {}


def test_a_rehearsal_is_the_same_plan_tiny(file: Path, tmp_path: Path) -> None:
    campaign = Campaign(file, read_campaign(file), tmp_path, rehearse=True)
    for plan in campaign.plans[0]:
        (unit,) = plan.units
        assert (unit.seed, unit.steps) == (0, REHEARSED_STEPS)
        assert unit.eval is not None
        assert (unit.eval.episodes, unit.eval.max_steps) == (2, 50)
    assert [table.repeats for table in campaign.benches.values()] == [1]


def test_the_plan_of_scripts_gpu_is_whole(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "scripts" / "gpu_plan" / "gpu.toml"
    campaign = Campaign(file, read_campaign(file), tmp_path, device="cpu")
    (long, *_), (longer, *_) = campaign.plans
    assert len(long.units) == 12
    assert [unit.seed for unit in long.units[:4]] == [0] * 4
    assert {unit.steps for unit in longer.units} == {50_000_000}
    for table in campaign.benches.values():
        assert measurements.rows_of(table, "cpu")
    for checks in campaign.recipe.agreement.values():
        assert "ppo_abn_convlstm" in checks.agents


@pytest.mark.more
def test_mistakes(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(text: str, *words: str) -> str:
        file.write_text(text)
        monkeypatch.chdir(tmp_path)
        found = subprocess.run(
            [sys.executable, "-m", "rl_abn", "campaign", "tiny.toml", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 2, found.stderr
        assert not (tmp_path / "runs").exists()
        return found.stderr

    assert "no CUDA GPU visible; --rehearse" in said(TEXT.replace('"cpu"', '"cuda:7"'))
    file.write_text(TEXT.replace('"few.toml"', '"fwe.toml"'))
    assert "fwe.toml: cannot be read" in complaint(
        lambda: Campaign(file, read_campaign(file), file)
    )
    file.write_text(TEXT.replace("agreement.plain", 'agreement."a/b"'))
    assert "expected names of letters" in complaint(lambda: read_campaign(file))


def weights(campaign: Campaign) -> list[bytes]:
    found = []
    for unit in campaign.plans[0][0].units:
        newest = Run.open(campaign.plans[0][0].out / unit.name).checkpoint().path
        found += [(newest / kind).read_bytes() for kind in (WEIGHTS, TRAINING)]
    return found


@pytest.mark.full
def test_killed_stopped_and_carried_to_another_machine_it_ends_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    settings = [*SMALL, "train.checkpoint_every=64", "algorithm.n_steps=32"]
    machine = '[machine]\ndevices = ["cpu"]\nnice = 0\nworkers = 1\n'
    of: dict[str, Any] = {"set": settings, "agents": ["ppo_abn_paper"], "seeds": 1}
    write_sweep(tmp_path, EVAL + "\n" + machine, steps=384, **of)
    file, out = tmp_path / "tiny.toml", tmp_path / "out"
    file.write_text(TEXT.partition("[bench")[0])

    def start(work: str, *more: str) -> subprocess.Popen[bytes]:
        words = ["campaign", str(file), "--work", str(tmp_path / work), "--out", str(out), *more]
        return subprocess.Popen([sys.executable, "-m", "rl_abn", *words])

    def until(condition: Callable[[], bool]) -> None:
        for _ in range(3000):
            if condition():
                return
            time.sleep(0.1)
        pytest.fail("it never came so far")

    first = Campaign(file, read_campaign(file), tmp_path / "cut").plans[0][0]
    folder = first.out / first.units[0].name
    killed = start("cut")
    # A stop may replace the newest of the checkpoints that an uncut training has too.
    until(lambda: len(list((folder / "checkpoints").glob("step-*"))) >= 3)
    killed.kill()
    killed.wait()
    until(lambda: Run.open(folder).status != "running")  # the worker saves and ends by itself
    codes = [start("cut", "--minutes", "0.0001").wait()]
    shutil.rmtree(tmp_path / "cut")  # another machine: it has what was packed
    codes.append(start("cut", "--minutes", "0.0001").wait())
    assert exact_checkpoints(Run.open(folder))
    for minutes in (0.4, 1.5, 6, 30):  # longer, where the machine is busy
        codes.append(start("cut", "--minutes", str(minutes)).wait())
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert set(codes[:-1]) <= {75}
    shutil.rmtree(out)
    assert start("whole").wait() == 0
    one, other = (Campaign(file, read_campaign(file), tmp_path / w) for w in ("cut", "whole"))
    assert weights(one) == weights(other)
    for campaign in (one, other):
        for plan in campaign.plans[0]:
            assert all(check_done(plan, unit) for unit in plan.units)
    assert killed.returncode == -signal.SIGKILL
