"""Agents are watched with Grad-CAM and other maps, and play as they do without."""

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.rl.evaluation.comparison import episodes_of, read_shown, titles_of, write_shown
from rl_abn.rl.evaluation.map_player import LIVE_MAPS, MapPlayer, names_of, shares
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.record import record_run
from rl_abn.rl.training.build import load_policy
from tests.rl.evaluation.recorded import make_run

CPU = torch.device("cpu")


def observations(n_steps=3, n=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (n_steps, n, 4, 84, 84), dtype=np.uint8)


@pytest.mark.parametrize("agent", ["ppo_cnn", "ppo_mask_convlstm"])
def test_an_agent_plays_as_it_does_without(tmp_path, agent):
    run = make_run(tmp_path / "run", agent)
    policy = load_policy(run, run.checkpoint(None), CPU)
    before = policy.compute
    options = {"greedy": False, "seed": 3}
    plain = AgentPlayer("a", policy, **options)
    shown = MapPlayer("a", policy, "grad_cam", newest=1, **options)
    starts = np.ones(2, bool)
    for obs in observations():
        one, output = plain.act(obs, starts)
        other, mapped = shown.act(obs, starts)
        np.testing.assert_array_equal(one, other)
        assert torch.equal(output.action_logits, mapped.action_logits)
        assert mapped.map.shape[:2] == (2, 1)
        torch.testing.assert_close(mapped.map.sum(dim=(2, 3)), torch.ones(2, 1))
        starts = np.zeros(2, bool)
    assert policy.compute == before
    assert shown.map_size == tuple(mapped.map.shape[2:])


QUICK = ("attention_gradient", "evidence", "grad_cam", "motion")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.full) for n in LIVE_MAPS],
)
def test_every_map_can_be_shown(tmp_path, name):
    run = make_run(tmp_path / "run")
    policy = load_policy(run, run.checkpoint(None), CPU)
    player = MapPlayer("a", policy, name, newest=1, greedy=True, seed=0)
    first, second = observations(2, 1)
    player.act(first, np.ones(1, bool))
    _, output = player.act(second, np.zeros(1, bool))
    assert output.map.shape == (1, 1, 9, 9)
    assert output.map.min() >= 0
    if name == "motion":  # at a game's start nothing has moved, later something has
        assert output.map.std() > 0
        _, again = player.act(first, np.ones(1, bool))
        torch.testing.assert_close(again.map, torch.full((1, 1, 9, 9), 1 / 81))


@pytest.mark.parametrize(
    ("agent", "name", "needed"),
    [
        ("ppo_cnn", "evidence", "states evidence"),
        ("ppo_cnn", "attention_gradient", "acts on maps of places"),
        ("ppo_se", "attention_gradient", "acts on maps of places"),
    ],
)
def test_a_map_needs_what_it_is_made_of(tmp_path, agent, name, needed):
    run = make_run(tmp_path / "run", agent)
    policy = load_policy(run, run.checkpoint(None), CPU)
    with pytest.raises(RlAbnError, match=f"expected an agent that {needed} for --map {name}, got"):
        MapPlayer(agent, policy, name, newest=1, greedy=True, seed=0)


def test_names() -> None:
    assert names_of([]) == [None]
    assert names_of(["own", "grad_cam", "own"]) == [None, "grad_cam"]
    with pytest.raises(RlAbnError, match="unknown map 'gradcam': did you mean 'grad_cam'"):
        names_of(["gradcam"])


def test_shares_are_even_without_mass() -> None:
    made = shares(torch.tensor([[[0.0, -1.0], [3.0, 1.0]], [[0.0, -1.0], [-2.0, 0.0]]]))
    assert made.tolist() == [[[0.0, 0.0], [0.75, 0.25]], [[0.25, 0.25], [0.25, 0.25]]]


def test_a_recording_says_which_map_it_shows(tmp_path):
    run = make_run(tmp_path / "run", "ppo_cnn")
    game = next(iter(record_run(run, out=tmp_path / "out", max_steps=3, map_name="grad_cam")))
    assert game.path.name == "step-64-game-0-grad_cam-cut-at-3"
    episode = Episode(game.path)
    meta = episode.meta
    assert (meta.map_names, meta.scale, meta.even_factor) == (("grad_cam",), "even", 81)
    assert "shown: grad cam" in meta.title
    assert meta.source["agent"]["map"] == "grad_cam"


@pytest.mark.more
def test_own_map_and_grad_cam_side_by_side(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper")
    shown = read_shown([run.path], maps=["own", "grad_cam"])
    episodes = episodes_of(shown, tmp_path / "episodes", max_steps=3, device="cpu")
    assert [episode.meta.map_names for episode in episodes] == [("shared",), ("grad_cam",)]
    first, second = titles_of(episodes, shown)
    assert first.endswith("own maps")
    assert second.endswith("grad cam")
    video = write_shown(tmp_path / "both.mp4", shown, episodes)
    assert video.n_frames == 3
    assert video.scores[0] == video.scores[1]
