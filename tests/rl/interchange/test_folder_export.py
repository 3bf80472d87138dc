"""A folder to hand on: half the bits, the same policy, and a card that says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.cli import main
from rl_abn.explain.certificate import QUESTIONS
from rl_abn.explain.stored import read_certificate
from rl_abn.files.text import write_output
from rl_abn.render import VideoWriter
from rl_abn.rl.evaluation.card import card_of, read_evaluation, weaknesses
from rl_abn.rl.interchange.folder_export import export_folder, halved
from rl_abn.rl.training.build import load_policy
from rl_abn.runs import META, WEIGHTS, Run, load_tensors, read_json
from tests.complaints import complaint
from tests.rl.evaluation.recorded import STEP, make_run

CPU = torch.device("cpu")
ESTIMATE = {"value": 8.0, "low": 6.0, "high": 10.0}


def evaluation(**differences: tuple[float, float]) -> dict[str, object]:
    """An evaluation's JSON: the agent, and players with an interval of their difference to it."""
    intact = {
        "player": "ppo_abn",
        "protocol": "legacy",
        "greedy": False,
        "games": [{"score": 8.0}] * 4,
        "max_frames": 1000,
        "mean": ESTIMATE,
        "iqm": ESTIMATE,
        "human_normalised": 0.25,
        "seed": 0,
    }
    players = [intact]
    for name, (low, high) in differences.items():
        difference = {"value": (low + high) / 2, "low": low, "high": high, "share": -0.5}
        kind = {"blind": "frozen"} if name == "blind" else {"intervention": name}
        players.append({**intact, "player": name, "difference": difference, **kind})
    return {"step": STEP, "evaluations": players, "map_reliance": {"swap": ESTIMATE}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("export") / "seed-0")
    (run.path / "evaluations").mkdir()
    for step in (STEP, STEP + 1):
        path = run.path / "evaluations" / f"step-{step}-legacy-stochastic-4-games-0.json"
        path.write_text(json.dumps(evaluation(uniform=(-3.0, 1.0), blind=(-5.0, -2.0))))
    run.update_meta(command="rl-abn train | tee", wall_time_s=7200.0)
    return run


def test_the_policy_is_the_same_in_half_the_bits(run: Run, tmp_path: Path) -> None:
    saved = export_folder(run, tmp_path / "agent")
    lean = Run.open(tmp_path / "agent")
    assert (lean.recipe, saved.step) == (run.recipe, STEP)
    stored = load_tensors(lean.checkpoint().path / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    whole, half = (load_policy(r, r.checkpoint(), CPU) for r in (run, lean))
    obs = torch.randint(0, 256, (4, 4, 84, 84), generator=torch.Generator().manual_seed(0))
    outputs = [policy.attend(obs.to(torch.uint8))[0] for policy in (whole, half)]
    assert outputs[1].action_logits.dtype == torch.float32
    torch.testing.assert_close(*(output.action_logits for output in outputs), rtol=0.01, atol=0.01)


def test_what_no_half_can_hold_stays_whole() -> None:
    weights = {"a": torch.tensor([1e6]), "b": torch.tensor([0.1]), "c": torch.tensor([3])}
    kinds = {name: tensor.dtype for name, tensor in halved(weights).items()}
    assert kinds == {"a": torch.float32, "b": torch.float16, "c": torch.int64}


def test_evaluations_of_its_checkpoint_come_along_and_the_card_tells_them(
    run: Run, tmp_path: Path
) -> None:
    export_folder(run, tmp_path / "agent", notes="It fears green ghosts.")
    kept = [path.name for path in (tmp_path / "agent" / "evaluations").iterdir()]
    assert kept == [f"step-{STEP}-legacy-stochastic-4-games-0.json"]
    card = (tmp_path / "agent" / "CARD.md").read_text()
    assert card.startswith("# ppo_abn_paper on Space Invaders\n\nPPO with attention maps, 64 agent")
    for text in (
        "learnt from reward alone",
        "| command | `rl-abn train \\| tee` |",
        "| hours | 2.0 |",
        "4 whole games each, legacy protocol, stochastic, cap 1,000 frames",
        "| ppo_abn | 8.0 [6.0, 10.0] | 8.0 [6.0, 10.0] |  | 0.250 |",
        "| blind | 8.0 [6.0, 10.0] | 8.0 [6.0, 10.0] | -3.5 [-5.0, -2.0] | 0.250 |",
        "swap 8.000 [6.000, 10.000]",
        "- 4 stochastic games (legacy) show no loss with the map flattened.",
        "- Below a person: 25% of the way from a random player",
        "It fears green ghosts.",
    ):
        assert text in card, text
    assert "\n| seed | 0 |\n" in card
    assert "when blind" not in card  # its interval excludes 0
    assert "](picture.png)" not in card


def test_a_weakness_is_what_the_interval_does_not_exclude(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_text(json.dumps(evaluation(swap=(-3.0, -1.0), blind=(-5.0, 0.5))))
    said = weaknesses([read_evaluation(path)])
    assert len(said) == 3
    assert "do not tell it from itself when blind (frozen)" in said[1]


def test_a_weakness_says_which_map_was_replaced_and_the_critics_is_none(tmp_path: Path) -> None:
    found = evaluation(uniform=(-90.0, -70.0), swap=(-3.0, 1.0), zero=(-3.0, 1.0))
    # The same games: a critic's map does not change what is played.
    played = found["evaluations"]
    assert isinstance(played, list)
    maps = [["policy", "value"], ["policy"], ["policy", "value"]]
    for player, names in zip(played[1:], maps, strict=True):
        player["intervened_maps"] = names
    same = {"value": 0.0, "low": -4.0, "high": 4.0, "share": 0.0}
    of_critic = {"player": "uniform:value", "intervened_maps": ["value"], "difference": same}
    played.append({**played[1], **of_critic})
    path = tmp_path / "e.json"
    path.write_text(json.dumps(found))
    said = weaknesses([read_evaluation(path)])
    assert said[1:3] == [
        "4 stochastic games (legacy) show no loss with the policy map of another moment.",
        "4 stochastic games (legacy) show no loss with the maps all zero.",
    ]
    assert not any("flattened" in line for line in said)


def test_its_certificate_comes_along_and_the_card_tells_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for name, verdict in (("full-1", "no"), ("quick-0", "yes"), ("full-0", "partly")):
        lines = [{"question": q, "verdict": verdict, "text": f"{name} | says."} for q in QUESTIONS]
        path = run.path / "explanations" / f"step-{STEP}-{name}" / "certificate.json"
        write_output(path, {"title": name, "subtitle": "8 games", "certificate": lines})
    (run.path / f"explanations/step-{STEP}-full-0/certificate.json").write_text("{")
    export_folder(run, tmp_path / "agent")
    stored = read_certificate(tmp_path / "agent" / "certificate.json")
    assert (stored.title, stored.subtitle) == ("full-1", "8 games")
    card = (tmp_path / "agent" / "CARD.md").read_text()
    assert "## Where it looks\n\n`rl-abn explain`, 8 games:\n" in card
    assert "| Is the map used? | **no** | full-1 \\| says. |" in card
    assert "- Its map does not mark what decides" in card
    # What was handed on is handed on again.
    export_folder(Run.open(tmp_path / "agent"), tmp_path / "again")
    assert (tmp_path / "again" / "CARD.md").read_text() == card


def test_its_video_gives_the_card_a_picture(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for name in (f"step-{STEP}-game-0-uniform.mp4", f"step-{STEP + 1}-game-0.mp4"):
        (run.path / "videos").mkdir(exist_ok=True)
        (run.path / "videos" / name).write_text("no video")
    path = run.path / "videos" / f"step-{STEP}-game-0.mp4"
    with VideoWriter(path, (64, 48), fps=15) as video:
        for shade in (0, 100, 200):
            video.write(np.full((48, 64, 3), shade, np.uint8))
    export_folder(run, tmp_path / "agent")
    assert (tmp_path / "agent" / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "](picture.png)" in (tmp_path / "agent" / "CARD.md").read_text()
    export_folder(Run.open(tmp_path / "agent"), tmp_path / "again")  # the video stayed behind
    again = tmp_path / "again" / "picture.png"
    assert again.read_bytes() == (tmp_path / "agent" / "picture.png").read_bytes()


def test_a_whole_sampled_games_video_comes_before_others(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    pictures = {}
    for shade, how in ((0, "-greedy"), (100, "-cut-at-9-frame-scale"), (200, "")):
        path = run.path / "videos" / f"step-{STEP}-game-0{how}.mp4"
        with VideoWriter(path, (64, 48), fps=15) as video:
            video.write(np.full((48, 64, 3), shade, np.uint8))
        export_folder(run, tmp_path / f"agent{how}")
        pictures[how] = (tmp_path / f"agent{how}" / "picture.png").read_bytes()
    assert pictures["-greedy"] == pictures["-cut-at-9-frame-scale"] != pictures[""]


def test_it_is_no_run_to_train_on(run: Run, tmp_path: Path) -> None:
    export_folder(run, tmp_path / "agent")
    exported = Run.open(tmp_path / "agent")
    assert (exported.is_imported, exported.is_foreign) == (True, False)
    meta = read_json(tmp_path / "agent" / META)
    assert meta["imported"] == {"kind": "run", "file": "seed-0", "steps": STEP}
    assert meta["command"] == "rl-abn train | tee"


def test_again_it_is_refused_or_asked_for(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    export_folder(run, folder)
    assert "add --on-exists new or overwrite" in complaint(lambda: export_folder(run, folder))
    export_folder(run, folder, on_exists="overwrite")
    export_folder(run, folder, on_exists="new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "agent-2"]


def test_a_damaged_evaluation_is_left_out(run: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path / "run")
    (other.path / "evaluations").mkdir()
    (other.path / "evaluations" / f"step-{STEP}-x.json").write_text('{"step": 64}')
    assert "Not evaluated" in card_of(other, STEP)


def test_the_command_line(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").write_text("A note.")
    words = ["export", str(run.path), str(tmp_path / "agent"), "--notes"]
    assert main([*words, str(tmp_path / "notes.md")]) in (None, 0)
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"next: rl-abn watch {tmp_path / 'agent'}"
    assert "A note." in (tmp_path / "agent" / "CARD.md").read_text()


@pytest.mark.parametrize("notes", [None, b"\xff\xfe"])
def test_notes_that_cannot_be_read(
    notes: bytes | None, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing.md"
    if notes is not None:
        path.write_bytes(notes)
    with pytest.raises(SystemExit) as caught:
        main(["export", str(run.path), str(tmp_path / "agent"), "--notes", str(path)])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rl-abn: error: {path}: expected a text file with notes, got ")
    assert not (tmp_path / "agent").exists()
