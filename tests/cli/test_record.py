"""Recording, and videos of what was recorded."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pytest

from rl_abn.record import Episode
from rl_abn.render import read_video
from tests.rl.evaluation.recorded import STEP, make_run, record


@pytest.fixture
def agent(folder):
    return make_run(folder / "agent", "ppo_abn_paper", "space_invaders")


def done(result):
    assert result.code == 0, result.err
    return result.out.splitlines()


def next_of(lines):
    """The words of the command that is printed last."""
    assert lines[-1].startswith("next: rl-abn ")
    return shlex.split(lines[-1].removeprefix("next: rl-abn "))


CPU = ("--device", "cpu")


def test_record_and_then_what_it_says_comes_next(rl_abn, agent, folder):
    lines = done(rl_abn("record", "agent", "--episodes", "2", "--max-steps", "5", *CPU))
    places = [f"agent/episodes/step-{STEP}-game-{i}-cut-at-5" for i in (0, 1)]
    assert [line.rpartition(" ")[2] for line in lines[:2]] == places
    assert re.fullmatch(rf"score \d+, 5 steps: {places[0]}", lines[0])
    words = next_of(lines)
    assert words == ["watch", places[0]]
    lines = done(rl_abn(*words))
    assert re.match(r"score \d+, 5 frames, 0 s: ", lines[0])
    assert read_video(folder / places[0] / "game.mp4")[::2] == (5, 15.0)
    words = next_of(lines)
    assert words == ["watch", places[0], "--fps", "60", "--evidence"]
    done(rl_abn(*words))
    n_frames, size, fps = read_video(folder / places[0] / "game-60-fps-evidence.mp4")
    assert (n_frames, fps) == (20, 60.0)
    assert size[1] > 1000


def test_record_under_an_intervention_elsewhere(rl_abn, agent, folder):
    words = ("--intervention", "uniform", "--out", "there", "--keep", "observations", "--greedy")
    lines = done(rl_abn("record", "agent", "--max-steps", "3", "--seed", "7", *words, *CPU))
    episode = Episode(folder / "there" / f"step-{STEP}-game-7-greedy-uniform-cut-at-3")
    assert next_of(lines) == ["watch", str(episode.path.relative_to(folder))]
    maps = episode.numbers("maps")
    assert (maps == maps[:, :, :1, :1]).all()
    assert episode.numbers("observation").shape == (3, 4, 84, 84)
    assert not (agent.path / "episodes").exists()


@pytest.mark.more
def test_eval_records_and_says_where(rl_abn, agent, folder):
    words = ("eval", "agent", "--episodes", "2", "--max-steps", "4", "--blind", "none", *CPU)
    done(rl_abn(*words, "--json", "plain.json"))
    lines = done(rl_abn(*words, "--record", "2", "--json", "recorded.json"))
    assert (folder / "plain.json").read_bytes() == (folder / "recorded.json").read_bytes()
    recorded = [line for line in lines if line.startswith("recorded: ")]
    assert len(recorded) == 2
    words = next_of(lines)
    assert Episode(folder / words[1]).n_steps == 4
    done(rl_abn(*words))


@pytest.mark.more
def test_a_video_replaces_none_of_a_game_played_or_drawn_otherwise(rl_abn, agent, folder):
    words = ("watch", "agent", "--max-steps", "2", *CPU)
    for more in ((), ("--greedy",), ("--scale", "frame"), ("--greedy", "--evidence")):
        done(rl_abn(*words, *more))
    names = sorted(path.name for path in (agent.path / "videos").iterdir())
    first = f"step-{STEP}-game-0"
    assert names == [
        f"{first}-cut-at-2-frame-scale.mp4",
        f"{first}-cut-at-2.mp4",
        f"{first}-greedy-cut-at-2-evidence.mp4",
        f"{first}-greedy-cut-at-2.mp4",
    ]
    episode = record(agent, max_steps=3).path
    for more in ((), ("--max-steps", "2"), ("--scale", "frame")):
        done(rl_abn("watch", str(episode), *more))
    videos = sorted(path.name for path in episode.glob("*.mp4"))
    assert videos == ["game-cut-at-2.mp4", "game-frame-scale.mp4", "game.mp4"]
    assert read_video(episode / "game.mp4")[0] == 3


@pytest.mark.more
def test_interventions_checkpoints_and_runs_are_compared(rl_abn, agent, folder):
    words = ("watch", "agent", "--max-steps", "3", *CPU)
    lines = done(rl_abn(*words, "--intervention", "none", "uniform", "swap"))
    assert re.match(r"scores \d+, \d+, \d+, 3 frames", lines[0])
    assert (agent.path / "videos" / f"step-{STEP}-game-0-none-uniform-swap-cut-at-3.mp4").is_file()
    assert next_of(lines)[:2] == ["eval", "agent"]

    agent.save_checkpoint(128, agent.weights(agent.checkpoint(), _expected(agent)), {}, {})
    lines = done(rl_abn(*words, "--checkpoint", str(STEP), "--checkpoint", "128"))
    assert (agent.path / "videos" / f"step-{STEP}-step-128-game-0-cut-at-3.mp4").is_file()

    make_run(folder / "other", "ppo_cnn", "space_invaders")
    done(rl_abn("record", "agent", "--max-steps", "2", "--out", "e", *CPU))
    episode = next(iter((folder / "e").iterdir()))
    lines = done(rl_abn("watch", "agent", "other", str(episode), "--max-steps", "3", *CPU))
    assert read_video(folder / "comparison-game-0-cut-at-3.mp4")[0] == 3
    assert not (agent.path / "episodes").exists()


def _expected(run):
    from rl_abn.rl.training.build import make_policy

    return make_policy(run.recipe).state_dict()


def test_evidence_of_an_agent_without_any_is_refused_before_it_plays(mistake, folder):
    make_run(folder / "plain", "ppo_cnn")
    assert mistake("watch", "plain", "--evidence", "--max-steps", "2") == (
        "expected an agent that states evidence for --evidence, got 'ppo_cnn', which has no "
        "attention branch that answers"
    )


def test_one_checkpoint_before_the_run_is_still_understood(rl_abn, agent):
    lines = done(
        rl_abn("watch", "--checkpoint", str(STEP), "agent", "--max-steps", "2", "--out", "a.mp4")
    )
    assert next_of(lines) == ["watch", "agent", "--over-training"]


MISTAKES = {
    "a record over a record": (
        ("record", "agent", "--max-steps", "2"),
        "exists; add --on-exists new or overwrite",
    ),
    "no such run": (("record", "agnt"), "expected a run folder, got 'agnt'"),
    "no games": (("record", "agent", "--episodes", "0"), "expected a whole number from 1"),
    "no such intervention": (("record", "agent", "--intervention", "unifrm"), "'uniform'"),
    "several interventions": (
        ("record", "agent", "--intervention", "all"),
        "expected one intervention, got 'all', which is 8",
    ),
    "nothing to keep": (("record", "agent", "--keep", "evidenc"), "did you mean 'evidence'?"),
    "an unknown checkpoint": (
        ("record", "agent", "--checkpoint", "5"),
        f"expected a checkpoint at step 5, got none; the nearest is {STEP}",
    ),
    "too many games": (
        ("eval", "agent", "--episodes", "2", "--record", "3"),
        "expected at most 2 games to record",
    ),
    "a speed that there is not": (
        ("watch", "agent", "--fps", "30", "--max-steps", "2"),
        "expected --fps 15 or 60, with the skipped frames, got 30",
    ),
    "an episode with interventions": (
        ("watch", "EPISODE", "--intervention", "zero"),
        "expected runs alone for --checkpoint, --intervention and --map",
    ),
    "maps that there are not": (
        ("watch", "agent", "--intervention", "nne"),
        "unknown intervention 'nne'",
    ),
    "too much to see": (
        ("watch", "agent", "agent", "agent", "--intervention", "all"),
        "expected at most 16 games side by side, got 24",
    ),
    "training of several": (
        ("watch", "agent", "agent", "--over-training"),
        "expected one run with --over-training, got 2",
    ),
    "a game's options for the training": (
        ("watch", "agent", "--over-training", "--scale=frame", "--map=grad_cm", "--seed", "1"),
        "expected --over-training with --out and --scale alone, got --map too",
    ),
    "no video": (
        ("watch", "EPISODE", "--out", "a.png"),
        "a.png",
    ),
    "an episode for a run": (("eval", "EPISODE"), "expected a run folder"),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with an episode of two steps, to be copied."""
    run = make_run(tmp_path_factory.mktemp("recorded") / "agent", "ppo_abn_paper", "space_invaders")
    record(run, max_steps=2)
    return run


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line(rl_abn, recorded, folder, kind):
    shutil.copytree(recorded.path, folder / "agent")
    episode = f"agent/episodes/step-{STEP}-game-0-cut-at-2"
    words, said = MISTAKES[kind]
    result = rl_abn(*(episode if word == "EPISODE" else word for word in words))
    assert result.code == 2
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if not line.startswith("playing")]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_damaged_episode_is_one_line(rl_abn, mistake, agent, folder):
    done(rl_abn("record", "agent", "--max-steps", "2", "--out", "e", *CPU))
    episode = next(iter((folder / "e").iterdir()))
    (episode / "trace" / "000000.safetensors").write_bytes(b"nothing")
    assert "expected the trace of a chunk" in mistake("watch", str(episode))
    meta = json.loads((episode / "meta.json").read_text())
    (episode / "meta.json").write_text(json.dumps({**meta, "fps": 0}))
    assert "as 'fps', got '0'" in mistake("watch", str(episode))
