"""What the page is told of an episode."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from rl_abn.record import Episode
from rl_abn.view.curves import Curves, advantages_of
from rl_abn.view.highlights import MOST, highlights_of
from tests.covering import more
from tests.record.played import play, step
from tests.rl.evaluation.recorded import STEP, make_run, record, untrained_weights
from tests.view.served import serving


@pytest.fixture
def played(tmp_path):
    return Episode(play(tmp_path / "episode", 150))


def test_meta_says_what_the_arrays_are(viewer):
    shown = viewer.client.get(f"/api/episodes/{viewer.episodes['plain']}").json
    episode = Episode(viewer.folders["plain"])
    assert shown["n_steps"] == episode.n_steps == 80
    assert (shown["n_chunks"], shown["chunk_steps"], shown["sheet_columns"]) == (2, 64, 16)
    assert shown["frame_size"] == [210, 160]
    assert shown["action_names"] == list(episode.meta.action_names)
    assert (shown["map_names"], shown["map_kind"], shown["map_size"]) == (
        ["shared"],
        "spatial",
        [9, 9],
    )
    assert shown["arrays"]["maps"] == {"dtype": "float16", "shape": [1, 9, 9]}
    assert shown["map_grid"] == [9, 9]
    assert (shown["can_ask"], shown["why_not"]) == (True, None)
    assert shown["interventions"][:2] == ["zero", "uniform"]
    memory = viewer.client.get(f"/api/episodes/{viewer.episodes['memory']}").json
    assert {"swap", "swap:policy", "swap:value"} <= set(memory["interventions"])
    assert shown["run"] == viewer.runs["plain"]
    assert {o["name"] for o in shown["objects"]} == set(episode.meta.objects)
    assert len(shown["objects"][0]["colours"][0]) == 3
    assert shown["source"] == {}


@pytest.mark.parametrize(
    ("agent", "settings", "said"),
    [
        ("ppo_causal", ["attention.length=6"], {"map_steps": 6, "map_part": "Head"}),
        *more(
            ("ppo_memn2n", [], {"map_steps": 16, "map_part": "Hop"}),
            ("ppo_transformer", [], {"map_grid": [7, 7], "map_size": [4 * 49, 49]}),
        ),
    ],
)
def test_meta_says_what_rows_of_a_map_are(tmp_path, agent, settings, said):
    """Of maps that lie below each other: how many steps, or locations, each has."""
    record(make_run(tmp_path / "run", agent, "space_invaders", *settings), max_steps=2)
    with serving(tmp_path / "run") as client:
        (episode,) = client.get("/api/library").json["runs"][0]["episodes"]
        shown = client.get(f"/api/episodes/{episode}").json
    assert {name: shown.get(name) for name in said} == said
    length = shown.get("map_steps") or shown["map_size"][1]
    assert shown["map_size"][0] % length == 0


def test_sheets_and_traces_are_the_files(viewer):
    for chunk in (0, 1):
        path = f"/api/episodes/{viewer.episodes['plain']}"
        sheet = viewer.client.get(f"{path}/sheets/{chunk}")
        assert sheet.headers["content-type"] == "image/png"
        assert sheet.body == (viewer.folders["plain"] / f"frames/{chunk:06d}.png").read_bytes()
        trace = viewer.client.get(f"{path}/trace/{chunk}")
        known = viewer.folders["plain"] / f"trace/{chunk:06d}.safetensors"
        assert trace.body == known.read_bytes()
    for kind in ("sheets", "trace"):
        assert viewer.client.ask("GET", f"{path}/{kind}/2").status == 404


def test_a_recording_that_is_replaced_is_not_that_of_the_browser(tmp_path):
    folder = play(tmp_path / "episode", 3)
    with serving(tmp_path) as client:
        (episode,) = client.get("/api/library").json["episodes"]
        for kind in ("sheets", "trace"):
            path = f"/api/episodes/{episode['id']}/{kind}/0"
            first = client.get(path)
            assert first.headers["cache-control"] == "no-cache"
            known = {"If-None-Match": first.headers["etag"]}
            again = client.ask("GET", path, headers=known)
            assert (again.status, again.body) == (304, b"")
            shutil.rmtree(folder)
            play(folder, 3, n_colours=5 if kind == "sheets" else 6)
            replaced = client.ask("GET", path, headers=known)
            assert replaced.status == 200
            assert replaced.headers["etag"] != first.headers["etag"]


def test_curves_are_those_of_the_arrays(played):
    curves = Curves(played).shown()
    known = [step(t) for t in range(150)]
    maps = np.stack([s["maps"] for s in known]).astype(np.float64)
    assert np.allclose(curves["value"], [s["value"] for s in known], rtol=1e-4)
    assert curves["reward"][:6] == [1, 0, 0, 0, 0, 1]
    contrast = maps[:, 0].std(axis=(1, 2)) / maps[:, 0].mean(axis=(1, 2))
    assert np.allclose(curves["map_contrast"]["shared"], contrast, rtol=1e-3)
    change = np.abs(np.diff(maps, axis=0)).mean(axis=(1, 2, 3)) / maps[1:].mean(axis=(1, 2, 3))
    assert curves["map_change"][0] == 0
    # Across the border of a chunk, too.
    assert np.allclose(curves["map_change"][1:], change, rtol=1e-3)
    p = np.stack([s["probabilities"] for s in known])
    q = np.stack([s["branch_probabilities"] for s in known])
    assert np.allclose(curves["entropy"], -(p * np.log(p)).sum(axis=1), rtol=1e-4)
    assert np.allclose(curves["disagreement"], np.abs(p - q).sum(axis=1) / 2, rtol=1e-4)
    assert all(len(curve) == 150 for name, curve in curves.items() if name != "map_contrast")


def test_an_advantage_ends_with_the_game_or_the_life(tmp_path):
    """With lambda = 1 it is the discounted return less the value."""
    learned = {"gamma": 0.5, "gae_lambda": 1.0, "clip_reward": "sign"}
    source = {
        "recipe": {"agent": {"algorithm": learned}},
        "game": {"protocol": {"life_loss_terminal": True}},
    }
    path = play(tmp_path / "episode", 3, source=source)
    episode = Episode(path)
    episode._numbers["reward"] = np.array([7.0, 5.0, 0.0])
    episode._numbers["value"] = np.array([1.0, 2.0, 4.0], np.float32)
    episode._numbers["terminated"] = np.array([False, False, False])
    episode._numbers["lost_life"] = np.array([False, False, False])
    # The game goes on after the last step: that is worth 4, too.
    assert np.allclose(advantages_of(episode), [1 + 0.5 * (1 + 0.5 * 2) - 1, 1 + 1 - 2, 2 - 4])
    episode._numbers["lost_life"] = np.array([False, True, False])
    assert np.allclose(advantages_of(episode)[0], 1 - 1)
    episode._numbers["terminated"] = np.array([False, False, True])
    assert np.allclose(advantages_of(episode)[2], -4)


def advantages_in_training(episode, rewards, ended):
    """What a training computes of an episode's values and the rewards that are learned from."""
    import torch

    from rl_abn.rl.algorithms.advantages import gae

    values = episode.numbers("value").astype(np.float64)
    return gae(
        rewards=torch.from_numpy(rewards)[:, None],
        values=torch.from_numpy(np.append(values, values[-1]))[:, None],
        dones=torch.from_numpy(ended.astype(np.float64))[:, None],
        gamma=0.99,
        gae_lambda=0.95,
    )[:, 0].numpy()


def test_advantages_are_those_that_training_computes(tmp_path):
    episode = Episode(play(tmp_path / "episode", 100))
    rng = np.random.default_rng(0)
    episode._numbers["terminated"] = ended = rng.random(100) < 0.1
    rewards = np.sign(episode.numbers("reward"))
    assert np.allclose(advantages_of(episode), advantages_in_training(episode, rewards, ended))


def test_advantages_are_in_the_units_of_the_values(tmp_path):
    """Rewards are divided and clipped as in the training, by what the checkpoint keeps."""
    import torch

    from rl_abn.rl.algorithms.reward_scale import RewardScale
    from rl_abn.rl.training.distributed import Ranks

    rewards = np.zeros(40)
    rewards[[3, 20, 30]] = (10.0, 1600.0, -50.0)
    ended = np.zeros(40, bool)
    ended[25] = True
    moments = torch.tensor([3000.0, 20.0, 1300.0], dtype=torch.float64)
    scale = RewardScale("return_std", 0.99, moments, Ranks())
    learned = scale(torch.tensor(rewards)[:, None], torch.tensor(ended)[:, None])
    assert learned.max() == 10  # clipped
    run = make_run(tmp_path / "run", "ppo_abn", "space_invaders")
    weights = untrained_weights("ppo_abn", "space_invaders", (), 0)
    run.save_checkpoint(STEP + 1, {**weights, "reward_moments": moments}, {}, {})
    episode = record(run, max_steps=40)
    assert episode.meta.source["agent"]["return_std"] == pytest.approx(30, abs=5)
    episode._numbers |= {"reward": rewards, "terminated": ended}
    rewards = learned[:, 0].double().numpy()
    assert np.allclose(advantages_of(episode), advantages_in_training(episode, rewards, ended))


@pytest.mark.parametrize("spread", [None, 0, True, "12"])
def test_without_the_units_of_the_values_there_are_no_advantages(tmp_path, spread):
    """Neither the curve nor its bookmarks: of recordings of before, and of damaged ones."""
    learned = {"recipe": {"agent": {"algorithm": {"clip_reward": "return_std"}}}}
    source = learned if spread is None else {**learned, "agent": {"return_std": spread}}
    curves = Curves(Episode(play(tmp_path / "episode", 60, source=source)))
    assert curves.advantages is None
    shown = curves.shown()
    assert "advantage" not in shown
    assert len(shown["value"]) == 60
    assert not any("advantage" in moment["kind"] for moment in highlights_of(curves))


def test_highlights_are_where_things_happen(tmp_path):
    episode = Episode(play(tmp_path / "episode", 200))
    rewards = np.zeros(200)
    rewards[[20, 150]] = (5.0, 200.0)
    lost = np.zeros(200, bool)
    lost[100] = True
    episode._numbers |= {"reward": rewards, "lost_life": lost}
    found = highlights_of(Curves(episode))
    assert len(found) <= MOST
    assert [moment["step"] for moment in found] == sorted(moment["step"] for moment in found)
    of = {kind: [m for m in found if m["kind"] == kind] for kind in {m["kind"] for m in found}}
    assert [(m["step"], m["label"]) for m in of["reward"]] == [
        (20, "reward +5"),
        (150, "reward +200"),
    ]
    assert [m["step"] for m in of["life_lost"]] == [99]
    assert of["end"][0]["step"] == 199
    advantages = advantages_of(episode)
    assert int(np.argmax(advantages)) in [m["step"] for m in of["highest_advantage"]]
    assert int(np.argmin(advantages)) in [m["step"] for m in of["lowest_advantage"]]
    assert {"change_of_mind", "map_value_disagree"} <= of.keys()


def test_an_episode_without_an_agent_has_what_there_is(tmp_path):
    """The page of what no agent played, and of one whose recipe is not there."""
    play(tmp_path / "alone", 3)
    with serving(tmp_path) as client:
        (episode,) = client.get("/api/library").json["episodes"]
        path = f"/api/episodes/{episode['id']}"
        shown = client.get(path).json
        assert shown["can_ask"] is False
        assert "meta.json" in shown["why_not"]
        assert shown["map_kind"] is None
        assert len(client.get(f"{path}/curves").json["value"]) == 3
        kinds = {m["kind"] for m in client.get(f"{path}/highlights").json}
        assert "end" in kinds


def test_links_in_an_episode_that_lead_outside_are_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = play(tmp_path / "served" / "episode", 3)
    with serving(tmp_path / "served") as client:
        (episode,) = client.get("/api/library").json["episodes"]
        path = f"/api/episodes/{episode['id']}"
        client.get(f"{path}/sheets/0")
        # It is opened already: each file is looked at again.
        (folder / "frames" / "000000.png").unlink()
        (folder / "frames" / "000000.png").symlink_to(tmp_path / "secret.png")
        assert client.ask("GET", f"{path}/sheets/0").status == 404
    with serving(tmp_path / "served") as client:
        answer = client.ask("GET", path)
        assert answer.status == 400
        assert "link to outside" in answer.json["error"]


def test_numbers_that_json_has_not_are_left_out(tmp_path):
    folder = play(tmp_path / "episode", 3)
    meta = json.loads((folder / "meta.json").read_text())
    continues = {"of": "\ud800", "step": float("nan")}
    meta["source"] = {"agent": {"name": float("nan")}, "game": 3, "continues": continues}
    (folder / "meta.json").write_text(json.dumps(meta))
    with serving(tmp_path) as client:
        (episode,) = client.get("/api/library").json["episodes"]
        source = client.get(f"/api/episodes/{episode['id']}").json["source"]
        assert source["continues"]["step"] is None
