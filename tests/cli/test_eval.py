"""`rl-abn eval` with interventions, from the command line to the files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_abn.attention import INTERVENTIONS
from rl_abn.progress import ProgressReport
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import Run
from tests.rl.evaluation.recorded import make_run

Command = Callable[..., Any]


def untrained(agent: str) -> Run:
    recipe = make_run_recipe("pong", agent, 0, [])
    run = Run.create(Path("runs", agent), recipe, "cpu")
    nothing = {"nothing": torch.zeros(1)}
    run.save_checkpoint(64, make_policy(recipe).state_dict(), nothing, {})
    return run


def test_help_names_every_intervention(rl_abn: Command) -> None:
    words = re.findall(r"\w+", rl_abn("eval", "--help").out)
    assert {*INTERVENTIONS, "all"} <= set(words)


@pytest.mark.usefixtures("folder")
def test_the_agent_plays_under_interventions_beside_the_intact_one(rl_abn: Command) -> None:
    run = untrained("ppo_mask")
    code, out, err = rl_abn(
        *("eval", str(run.path), "--episodes", "2", "--max-steps", "8", "--random", "--greedy"),
        *("--intervention", "zero:each", "uniform", "--intervention", "zero"),
        *("--json", "result.json", "--device", "cpu"),
    )
    assert code == 0, err
    players = [
        "ppo_mask",
        "zero",
        "zero:policy",
        "zero:value",
        "uniform",
        "blind: frozen",
        "random",
    ]
    shown = [line.split("  ")[0].strip() for line in out.splitlines() if "+0.0 [+0.0, +0" in line]
    assert shown == players[1:]  # nobody scores within eight steps
    assert "cap 32 frames" in out
    assert "2 games each" in out
    assert (
        "the difference's interval includes 0 for zero, zero:policy, zero:value, uniform: "
        "these games show no difference from the intact agent\n"
    ) in out
    assert "14 of the games were cut off by the frame cap\n" in out
    assert "playing: 14/14 games" in err
    data = json.loads(Path("result.json").read_text())
    assert [e["player"] for e in data["evaluations"]] == players
    assert [e["greedy"] for e in data["evaluations"]] == [True] * 6 + [False]
    assert "these games do not tell the agent from itself when blind" in out
    assert re.search(r"map reliance, .*: uniform 0.000 \[0.000, 0.000\], time_average", out)
    names = {"uniform", "time_average", "swap", "shifted", "observation"}
    assert set(data["map_reliance"]) == names
    assert [e["blind"] for e in data["evaluations"]][-2:] == ["frozen", None]
    (kept,) = (run.path / "evaluations").iterdir()
    assert json.loads(kept.read_text()) == data


@pytest.mark.usefixtures("folder")
def test_an_agent_without_maps(mistake: Callable[..., str]) -> None:
    said = mistake("eval", str(untrained("ppo_cnn").path), "--intervention", "zero")
    assert said == "expected an agent with attention maps, got 'ppo_cnn', which has none to change"


@pytest.mark.more
@pytest.mark.usefixtures("folder")
def test_the_blind_control_by_choice(rl_abn: Command, mistake: Callable[..., str]) -> None:
    run = untrained("ppo_cnn")
    words = ("eval", str(run.path), "--max-steps", "4", "--device", "cpu")
    out = rl_abn(*words, "--episodes", "2", "--blind", "both").out
    assert "blind: frozen" in out
    assert "blind: swapped" in out
    assert "map reliance" not in out
    assert "blind" not in rl_abn(*words, "--episodes", "2", "--blind", "none").out
    said = mistake(*words, "--episodes", "1", "--blind", "swapped")
    assert said == "expected 2 games or more to swap their screens, got 1"


@pytest.mark.more
def test_ctrl_c_keeps_the_games_of_players_that_are_through(
    rl_abn: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(Path("run"))
    words = ["eval", str(run.path), "--episodes", "1", "--max-steps", "4", "--device", "cpu"]
    whole = rl_abn(*words)
    (file,) = (run.path / "evaluations").glob("*.json")
    kept = file.read_bytes()
    file.unlink()

    def stop(report: ProgressReport, done: int, **numbers: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressReport, "update", stop)
        code, out, err = rl_abn(*words)
    assert (code, err) == (130, "rl-abn: interrupted\n")
    assert out == "stopped; the games of 1 of 2 players are kept, and the same command goes on\n"
    assert rl_abn(*words)[1] == whole[1]
    assert file.read_bytes() == kept
    assert not (run.path / "evaluations" / "unfinished").exists()
