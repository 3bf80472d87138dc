"""Edits painted in the page, and the training that takes them."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import torch

from rl_abn.cli import main
from rl_abn.map_editing.edit_files import read_edits
from rl_abn.record import Episode
from rl_abn.rl.evaluation.record import record_run
from rl_abn.runs import Run, load_tensors
from rl_abn.runs.metrics import read_metrics
from tests.rl.evaluation.recorded import make_run, record
from tests.view.served import serving

pytestmark = pytest.mark.more  # the browser's tests paint and save, too

SMALL = (
    "algorithm.n_envs=2",
    "algorithm.n_steps=8",
    "algorithm.batch_size=16",
    "train.n_probes=0",
    "train.reliance_every=0",
)
PAINTED = np.zeros((9, 9))
PAINTED[2:5, 3] = 0.75


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one update that keeps no positions, and a game of it."""
    folder = tmp_path_factory.mktemp("edited") / "run"
    words = [
        "--env",
        "space_invaders",
        "--agent",
        "ppo_abn_paper",
        "--steps",
        "16",
        "--device",
        "cpu",
    ]
    settings = [word for setting in SMALL for word in ("--set", setting)]
    main(["train", *words, *settings, "--out", str(folder)])
    run = Run.open(folder)
    return run, Episode(next(iter(record_run(run, max_steps=20))).path)


@pytest.fixture(scope="module")
def saved(trained):
    """What the server says of edits that were saved."""
    run, _ = trained
    with serving(run.path) as client:
        (episode,) = client.get("/api/library").json["episodes"]
        path = f"/api/episodes/{episode['id']}/edits"
        items = [{"step": t, "map": {"shared": PAINTED.tolist()}} for t in (4, 11)]
        answer = client.post(path, {"name": "shields", "items": items})
        again = client.post(path, {"name": "shields", "items": items[:1]})
        assert client.get(path).json == {"edits": [again, answer]} or client.get(path).json == {
            "edits": [answer, again]
        }
        assert (answer["items"], again["items"]) == (2, 1)
        assert again["name"] == "shields-2"
    return answer


def test_a_set_has_the_maps_and_what_the_agent_saw(trained, saved):
    run, episode = trained
    edits = read_edits(run.path / "edits" / "shields")
    assert list(edits.of) == [f"{episode.path.name}, step {t}" for t in (4, 11)]
    for edit in edits.of.values():
        assert np.array_equal(edit.map[0], PAINTED.astype(np.float32))
        assert edit.observation.shape == (4, 84, 84)
        assert edit.observation.dtype == np.uint8
    first, second = (edit.observation for edit in edits.of.values())
    assert not np.array_equal(first, second)


def test_the_command_trains_towards_them(trained, saved, capsys):
    """One update more, by the command that the page shows."""
    run, _ = trained
    words = shlex.split(saved["command"])
    assert words[:2] == ["rl-abn", "train"]
    steps = words.index("--steps") + 1
    assert int(words[steps]) > 16
    words[steps] = "32"
    main([*words[1:], "--device", "cpu"])
    assert "trained 32 steps" in capsys.readouterr().out
    kept = load_tensors(run.path / "attention" / "edits.safetensors")
    edits = read_edits(run.path / "edits" / "shields")
    assert torch.equal(kept["maps"][:, 0], torch.tensor(PAINTED).float().expand(2, 9, 9))
    seen = [edit.observation for edit in edits.of.values()]
    assert np.array_equal(kept["observations"].numpy(), np.stack(seen))
    losses = [row["train/map_loss"] for row in read_metrics(run.path / "metrics.jsonl")[1:]]
    assert len(losses) == 1
    assert losses[0] > 0


def test_an_edit_of_what_another_agent_saw_is_a_line(trained, saved):
    """Colours, sizes and types are the agent's own, or nothing is trained."""
    from rl_abn.errors import RlAbnError
    from rl_abn.map_editing.edits import Edit, Edits
    from rl_abn.rl.training.build import load_policy
    from rl_abn.rl.training.edited_maps import edited_maps

    run, _ = trained
    policy = load_policy(run, run.checkpoint(None), torch.device("cpu"))
    seen = np.zeros((3, 84, 84), np.uint8)
    edits = Edits({"step 1": Edit(map=np.zeros((1, 9, 9), np.float32), observation=seen)})
    expected = r"expected observations uint8 \[4, 84, 84\], got uint8 \[3, 84, 84\] of 'step 1'"
    with pytest.raises(RlAbnError, match=expected):
        edited_maps(run, policy, None, edits)
    probes = Edits({**edits.of, "probe-0": Edit(map=np.zeros((1, 9, 9), np.float32))})
    with pytest.raises(RlAbnError, match="keeps no positions"):
        edited_maps(run, policy, None, probes)


def test_a_map_that_is_not_painted_is_the_agents_own(tmp_path):
    run = make_run(tmp_path / "run", "ppo_mask")
    episode = record(run, max_steps=5)
    with serving(run.path) as client:
        (listed,) = client.get("/api/library").json["episodes"]
        rows = np.full((7, 7), 0.5).tolist()
        items = [{"step": 3, "map": {"value": rows}}]
        client.post(f"/api/episodes/{listed['id']}/edits", {"name": "a", "items": items})
    (edit,) = read_edits(run.path / "edits" / "a").of.values()
    assert np.allclose(edit.map[0], episode.step(3)["maps"][0], atol=1e-3)
    assert (edit.map[1] == 0.5).all()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "../a"}, "expected a name of letters, digits, - and _, got '../a'"),
        ({"name": ""}, "expected a name of letters, digits, - and _, got ''"),
        ({"name": "a", "items": []}, "expected a list of 1 to 256 items as 'items'"),
        ({"name": "a", "items": [{"step": 1}]}, "expected an object as the map, got null"),
        ({"name": "a", "items": [3]}, "expected an object as an item, got 3"),
        (
            {"name": "a", "items": [{"step": 1, "map": {"shared": PAINTED.tolist()}}] * 2},
            "expected one item a step, got two of step 1",
        ),
    ],
)
def test_a_mistake_is_one_line(viewer, runs, body, expected):
    path = f"/api/episodes/{viewer.episodes['plain']}/edits"
    assert expected in viewer.client.post(path, body, status=400)["error"]
    assert not (runs / "plain" / "edits").exists()


def test_maps_that_no_loss_can_draw_are_not_edited(viewer):
    path = f"/api/episodes/{viewer.episodes['hard']}/edits"
    rows = np.full((7, 7), 0.5).tolist()
    body = {"name": "a", "items": [{"step": 1, "map": {"shared": rows}}]}
    error = viewer.client.post(path, body, status=400)["error"]
    assert "expected an agent whose maps can be edited, got one with mechanism 'hard'" in error


def test_nothing_is_written_through_a_link(tmp_path):
    run = make_run(tmp_path / "served" / "run")
    record(run, max_steps=2)
    (tmp_path / "outside").mkdir()
    (run.path / "edits").symlink_to(tmp_path / "outside")
    with serving(tmp_path / "served") as client:
        (episode,) = client.get("/api/library").json["episodes"]
        items = [{"step": 1, "map": {"shared": PAINTED.tolist()}}]
        path = f"/api/episodes/{episode['id']}/edits"
        error = client.post(path, {"name": "a", "items": items}, status=400)["error"]
    assert "expected a folder to write to, got a link" in error
    assert not any((tmp_path / "outside").iterdir())
