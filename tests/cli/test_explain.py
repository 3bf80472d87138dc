"""`rl-abn explain`, `rl-abn compare` and `--map` as they are typed."""

from __future__ import annotations

import json

import pytest

from rl_abn.explain.methods import Effort
from rl_abn.explain.study import Thoroughness
from rl_abn.rl.evaluation import explanation_extent
from tests.rl.evaluation.gazed import moving_object, write_trial
from tests.rl.evaluation.recorded import make_run
from tests.rl.evaluation.test_compare import give_scores

CPU = ("--device", "cpu")
LESS = Thoroughness(("blur",), 1, 4, Effort(1, 1, 4), 2, 1, 1)


@pytest.fixture
def less(monkeypatch):
    """As quick as it gets."""
    quick = explanation_extent.QUICK_EXTENT._replace(
        interventions=("uniform",), moment_games=1, moment_steps=16, how=LESS
    )
    monkeypatch.setattr(explanation_extent, "QUICK_EXTENT", quick)


@pytest.mark.usefixtures("less")
def test_explain_prints_the_certificate_and_where_the_page_is(rl_abn, folder):
    make_run(folder / "agent")
    words = ("explain", "agent", "--quick", "--episodes", "1", "--max-steps", "12")
    code, out, err = rl_abn(*words, "--states", "4", "--out", "there", *CPU)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "used", "right", "better", "objects", "sane", "numbers", "page", "next",
    ]  # fmt: skip
    assert lines[-2] == "page: there/explanation.html"
    assert lines[-1] == "next: rl-abn explain agent"
    assert (folder / "there" / "explanation.html").stat().st_size > 20_000
    assert "1,000/1,000 of the work" in err


@pytest.mark.more
@pytest.mark.usefixtures("less")
def test_explain_sets_maps_beside_peoples_gaze(rl_abn, folder):
    make_run(folder / "agent", "ppo_mask_convlstm")
    frames, centres = moving_object(400)
    write_trial(folder / "trials", frames, centres[:, None])
    words = ("explain", "agent", "--quick", "--episodes", "1", "--max-steps", "12", "--states", "4")
    gaze = ("--gaze", "trials", "--map", "grad_cam", "--out", "there", *CPU)
    code, out, err = rl_abn(*words, *gaze)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("gaze: ")]
    assert "over 96 moments of 1 trial" in line
    found = json.loads((folder / "there" / "explanation.json").read_text())["gaze"]
    assert found["trials"] == ["52_RZ_7_Aug-10"]
    assert set(found["groups"].values()) == {"own", "rival", "control", "people"}
    # The object is all that moves, and the gaze is on it: motion finds it, the centre does not.
    scores = {name: of["nss"]["value"] for name, of in found["scores"].items()}
    assert scores["motion"] > 2 > 0.5 > abs(scores["centre"])
    assert scores["this gaze in cells"] > scores["motion"]
    page = (folder / "there" / "explanation.html").read_text("utf-8")
    assert "<h2>Does it lie where people look?</h2>" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--map", "grad_cam"), "expected --gaze FOLDER with --map, got none"),
        (("--gaze", "trails"), "got 'trails': did you mean 'trials'?"),
        (("--gaze", "trials", "--map", "gradcam"), "did you mean 'grad_cam'?"),
        (("--gaze", "agent"), "got none in 'agent'"),
        (("--gaze", "pong"), "expected trials of Space Invaders, the agent's game, got those of"),
        (("--gaze", "cut"), "expected an archive of frames, got one that is cut off"),
    ],
)
def test_gaze_that_cannot_be_used_is_refused_before_any_game(mistake, folder, words, said):
    make_run(folder / "agent")
    frames, centres = moving_object(60)
    for name in ("trials", "pong", "cut"):
        table = write_trial(folder / name, frames, centres[:, None])
    archive = table.with_suffix(".tar.bz2")
    archive.write_bytes(archive.read_bytes()[:1500])
    assert said in mistake("explain", "agent", "--quick", *words, *CPU)
    assert not list((folder / "agent").glob("explanations/*/parts/games*"))


def test_compare_prints_tables_and_keeps_numbers(rl_abn, folder):
    for name, level in (("one", 0), ("two", 50)):
        give_scores(make_run(folder / name, "ppo_cnn_convlstm"), range(level, level + 6))
    code, out, err = rl_abn("compare", "one", "two", *CPU)
    assert code == 0, err
    assert "a game of two scores more than one of one in 1.00 [1.00, 1.00]" in out
    assert "maps not compared: one and two: two has a memory, and did not play these games" in out
    assert out.splitlines()[-1] == "next: rl-abn watch one two"
    found = json.loads((folder / "comparison" / "comparison.json").read_text())
    assert [run["mean"]["value"] for run in found["runs"]] == [2.5, 52.5]
    assert (folder / "comparison" / "profiles.png").read_bytes().startswith(b"\x89PNG")


def test_one_run_is_not_compared(mistake, folder):
    make_run(folder / "one")
    assert mistake("compare", "one") == "expected two runs or more to compare, got 1"


@pytest.mark.parametrize("command", ["watch", "record"])
def test_a_map_that_there_is_not(mistake, folder, command):
    make_run(folder / "agent")
    said = mistake(command, "agent", "--max-steps", "2", "--map", "gradcam", *CPU)
    assert said == "unknown map 'gradcam': did you mean 'grad_cam'?"


@pytest.mark.full
def test_a_plain_agent_is_watched_with_grad_cam(rl_abn, folder):
    make_run(folder / "agent", "ppo_cnn")
    code, out, err = rl_abn("watch", "agent", "--map", "grad_cam", "--max-steps", "3", *CPU)
    assert code == 0, err
    assert out.splitlines()[0].endswith("agent/videos/step-64-game-0-grad_cam-cut-at-3.mp4")
    assert out.splitlines()[-1] == "next: rl-abn eval agent --greedy"  # it has no maps to change
    code, out, err = rl_abn("record", "agent", "--map", "grad_cam", "--max-steps", "3", *CPU)
    assert code == 0, err
    assert (folder / "agent/episodes/step-64-game-0-grad_cam-cut-at-3/meta.json").is_file()
