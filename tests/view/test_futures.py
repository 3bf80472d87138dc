"""Playing on from a step of a recorded game."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.attention import INTERVENTIONS, Abilities, Intervention
from rl_abn.record import Episode
from rl_abn.rl.evaluation.replay import Replay, player_of
from rl_abn.view.curves import entropy_of
from rl_abn.view.futures import play_futures, read_question
from rl_abn.view.jobs import Job, StoppedError
from rl_abn.view.library import Library
from rl_abn.view.painted import DRAWN, Maps, Plan, intervention_labels, read_plan
from tests.rl.evaluation.recorded import make_run, record
from tests.view.conftest import N
from tests.view.served import MAPS, painted, serving

STEP = 70
ZERO = painted("plain")
TWO_MAPS = Maps(("policy", "value"), (7, 7), Abilities())


def asked(viewer, name, **question):
    state = viewer.client.job(
        f"/api/episodes/{viewer.episodes[name]}/futures",
        {"step": STEP, "n_futures": 2, "max_steps": 6, **question},
    )
    assert state["state"] == "done", state
    return state["result"]


def traces(viewer, result, side):
    """The arrays and screens of a side's futures, as the server has them."""
    return [
        (
            viewer.client.get(f"/api/episodes/{name}/trace/0").body,
            viewer.client.get(f"/api/episodes/{name}/sheets/0").body,
        )
        for name in result[side]["episodes"]
    ]


@pytest.mark.more
@pytest.mark.parametrize("name", ["plain", "memory", pytest.param("hard", marks=pytest.mark.full)])
def test_both_sides_have_the_same_seeds(viewer, monkeypatch, name):
    """An edit that changes nothing makes the same games; other draws make others."""
    nothing = {"rule": {"kind": "intervention", "name": "zero"}, "how": "steps", "n": 1}
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "rule", lambda *_: lambda own, episode_start: own)
        same = asked(viewer, name, edit=nothing)
    own, edited = (traces(viewer, same, side) for side in ("own", "edited"))
    assert own == edited
    assert own[0] != own[1]
    assert same["difference"]["returns"] == [0.0, 0.0]
    other = asked(viewer, name, edit=nothing, seed=1)
    assert traces(viewer, other, "own") != own


def edited(viewer, result, i):
    """A future with edited maps."""
    name = result["edited"]["episodes"][i]
    return Episode(Path(viewer.client.get(f"/api/episodes/{name}").json["label"]))


@pytest.mark.parametrize("label", INTERVENTIONS)
def test_an_intervention_begins_with_the_maps_of_a_what_if(viewer, label):
    path = f"/api/episodes/{viewer.episodes['plain']}/what-if"
    shown = viewer.client.post(path, {"step": STEP, "intervention": label})
    edit = {"rule": {"kind": "intervention", "name": label}, "how": "always"}
    result = asked(viewer, "plain", edit=edit)
    for i in range(2):
        first = edited(viewer, result, i).step(0)
        assert np.allclose(first["maps"][0], shown["maps"]["shared"], rtol=2e-3, atol=1e-4)
        assert np.allclose(first["probabilities"], shown["probabilities"], rtol=1e-3)
    assert shown["kl"] > 0


@pytest.mark.more
def test_an_intervention_that_holds_goes_on_with_the_recording(viewer):
    """Later steps act on its average or first maps, or on those of any of its steps."""
    recorded = maps_of(Episode(viewer.folders["plain"])).astype(np.float32)

    def played(label):
        edit = {"rule": {"kind": "intervention", "name": label}, "how": "always"}
        result = asked(viewer, "plain", edit=edit)
        return [maps_of(edited(viewer, result, i)).astype(np.float32) for i in range(2)]

    for label, expected in (("time_average", recorded.mean(axis=0)), ("frozen", recorded[0])):
        assert np.allclose(played(label), expected, atol=1e-3)
    one, other = played("swap")
    assert np.array_equal(one[0], other[0])
    for maps in (one, other):
        distances = np.abs(maps[:, None] - recorded).max(axis=(2, 3, 4))
        assert distances.min(axis=1).max() == 0
        assert len(set(distances.argmin(axis=1).tolist())) > 2
    assert not np.array_equal(one[1:], other[1:])
    one, other = played("shuffled")
    assert not np.array_equal(one[1:], other[1:])


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_it_is_known_which_interventions_draw(name):
    """Those of `DRAWN` depend on their seed; at the step of a what-if alone none does."""

    def acted_on(seed):
        rule = Intervention(name, generator=torch.Generator().manual_seed(seed))
        start = torch.tensor([True])
        steps = torch.rand((40, 1, 1, 5, 5), generator=torch.Generator().manual_seed(0))
        return torch.stack([rule(own, start) for own in steps])

    assert torch.equal(acted_on(1), acted_on(1))
    assert torch.equal(acted_on(1), acted_on(2)) is (name not in DRAWN)
    for how, n in (("once", None), ("steps", 1), ("steps", 2), ("always", None)):
        edit = {"rule": {"kind": "intervention", "name": f"{name}:value"}, "how": how, "n": n}
        plan = read_plan(edit, TWO_MAPS, intervention_labels(TWO_MAPS.names))
        assert plan.draws is (name in DRAWN and plan.n_steps != 1)


@pytest.mark.more
@pytest.mark.parametrize("name", ["plain", "memory"])
def test_a_future_begins_where_the_game_was(viewer, name):
    """The emulator's state, and the agent's memory."""
    result = asked(viewer, name, edit={"map": painted(name), "how": "always"})
    episode = Episode(viewer.folders[name])
    shown = viewer.client.get(f"/api/episodes/{result['edited']['episodes'][0]}").json
    assert shown["n_steps"] == 6
    assert shown["source"]["continues"]["step"] == STEP
    assert shown["source"]["continues"]["edit"] == "painted maps (always)"
    assert shown["run"] == viewer.runs[name]
    # The memory of an edited agent is not that of the agent, nor told from what is recorded.
    assert shown["can_ask"] is (name == "plain")
    curves = viewer.client.get(f"/api/episodes/{shown['id']}/curves").json
    at = episode.step(STEP)
    assert curves["lives"][0] == at["lives"]
    assert curves["score"][0] - curves["reward"][0] == at["score"] - at["reward"]
    own = viewer.client.get(f"/api/episodes/{result['own']['episodes'][0]}/curves").json
    assert np.isclose(own["value"][0], at["value"], rtol=1e-4)
    assert np.isclose(own["entropy"][0], entropy_of(at["probabilities"][None])[0], rtol=1e-3)
    assert not np.isclose(curves["value"][0], at["value"], rtol=1e-4)


def played(runs, tmp_path, name, edit, *, side=None, **question):
    """Futures of a run's episode, as episodes by side; `side` is that of its maps."""
    library = Library([runs / name])
    (found,) = library.episodes.values()
    episode = Episode(found.path)
    (run,) = library.runs.values()
    agent = player_of(episode)
    maps = Maps(agent.map_names, (side or MAPS[name][1],) * 2, agent.policy.settings.abilities)
    data = {"step": STEP, "n_futures": 1, "max_steps": 70, "edit": edit, **question}
    futures = play_futures(
        episode, run.run, read_question(data, episode, maps), tmp_path, Job(1, "playing")
    )
    return {side: [Episode(future.path) for future in of] for side, of in futures.items()}


@pytest.mark.more
@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.full), "memory"])
def test_the_frames_of_a_future_equal_a_replay(runs, tmp_path, name):
    futures = played(runs, tmp_path, name, {"map": painted(name), "how": "steps", "n": 3})
    for side, (future,) in futures.items():
        # An edited agent is not the agent itself: the game alone is repeated.
        asks = side == "own"
        replay = Replay(future, player_of(future) if asks else None)
        for first in (66, 0):
            replay.go_to(first)
            for step in range(first, first + 3):
                assert np.array_equal(replay.env.frame, future.frame(step))
                output = replay.advance()
                if asks:
                    policy = output.action_logits[0].softmax(dim=-1).numpy()
                    assert np.array_equal(policy, future.step(step)["probabilities"])


def maps_of(episode):
    return np.concatenate([episode.array("maps", c) for c in range(episode.n_chunks)])


@pytest.mark.more
def test_how_long_an_edit_holds(runs, tmp_path):
    """Once, for some steps, always; and a rule on places at every step."""
    cases = {
        "once": ({"map": ZERO, "how": "once"}, lambda t: t < 1),
        "steps": ({"map": ZERO, "how": "steps", "n": 3}, lambda t: t < 3),
        "always": ({"map": ZERO, "how": "always"}, lambda t: True),
    }
    for name, (edit, holds) in cases.items():
        (future,) = played(runs, tmp_path / name, "plain", edit, max_steps=8)["edited"]
        dark = (maps_of(future) == 0).all(axis=(1, 2, 3))
        assert dark.tolist() == [holds(t) for t in range(8)]
    rule = {"rule": {"kind": "never_look_at", "box": [1, 2, 4, 9]}, "how": "always"}
    (future,) = played(runs, tmp_path / "rule", "plain", rule, max_steps=8)["edited"]
    maps = maps_of(future)[:, 0]
    assert (maps[:, 2:9, 1:4] == 0).all()
    assert (np.delete(maps, slice(1, 4), axis=2) > 0).all()


def test_a_rule_on_places_shares_out_what_is_left(runs, tmp_path):
    rule = {"rule": {"kind": "never_look_at", "box": [0, 0, 7, 1]}, "how": "always"}
    (future,) = played(runs, tmp_path, "hard", rule, max_steps=3)["edited"]
    maps = maps_of(future)[:, 0].astype(float)
    assert (maps[:, 0] == 0).all()
    sums = maps.sum(axis=(1, 2))
    assert np.all(np.isclose(sums, 1, atol=0.01) | (sums == 0))


def test_one_future_is_played_where_all_would_be_alike(viewer):
    result = asked(viewer, "plain", edit={"map": ZERO}, greedy=True)
    assert result["alike"] is True
    for side in ("own", "edited", "difference"):
        assert len(result[side]["returns"]) == 1
        assert (result[side]["low"], result[side]["high"]) == (None, None)
    # What draws other maps makes other games.
    edit = {"rule": {"kind": "intervention", "name": "shuffled"}, "how": "always"}
    other = asked(viewer, "plain", edit=edit, greedy=True)
    assert other["alike"] is False
    first, second = traces(viewer, other, "own")
    assert first == second
    first, second = traces(viewer, other, "edited")
    assert first != second
    assert asked(viewer, "plain", edit={"map": ZERO})["alike"] is False


@pytest.mark.more
def test_sticky_actions_are_drawn_anew_for_each_pair(tmp_path):
    """The game goes on from the same place with other chance, alike on both sides."""
    run = make_run(
        tmp_path / "run", "ppo_abn_paper", "space_invaders", "train.protocol=machado2018"
    )
    record(run, max_steps=N)

    futures = played(
        tmp_path, tmp_path, "run", {"map": ZERO}, n_futures=2, greedy=True, max_steps=3, side=9
    )
    # The emulators as futures begin, with their random states.
    begun = {
        side: [future.state_before(0)[1]["emulator"].tobytes() for future in of]
        for side, of in futures.items()
    }
    assert begun["own"] == begun["edited"]
    assert begun["own"][0] != begun["own"][1]
    for future in futures["own"]:
        assert np.array_equal(future.frame(0), futures["own"][0].frame(0))
        # What is recorded of it repeats it, chance and all.
        replay = Replay(future)
        replay.go_to(2)
        assert np.array_equal(replay.env.frame, future.frame(2))


def test_returns_come_with_intervals(viewer):
    result = asked(viewer, "plain", edit={"map": ZERO}, n_futures=3)
    for side in ("own", "edited", "difference"):
        returns = result[side]["returns"]
        assert len(returns) == 3
        assert result[side]["mean"] == np.mean(returns)
        assert result[side]["low"] <= result[side]["mean"] <= result[side]["high"]
    assert len(result["own"]["episodes"]) == 3


@pytest.mark.more
def test_a_stopped_job_keeps_the_pairs_it_has(runs, tmp_path, monkeypatch):
    import rl_abn.view.futures as module

    job = Job(1, "playing")
    real = module._play

    def play(*arguments):
        game = real(*arguments)
        if "own-1" in str(game.path):
            job.stop()
        return game

    monkeypatch.setattr(module, "_play", play)
    monkeypatch.setattr(module, "Job", Job)
    library = Library([runs / "plain"])
    (found,) = library.episodes.values()
    episode, run = Episode(found.path), next(iter(library.runs.values())).run
    agent = player_of(episode)
    maps = Maps(agent.map_names, (9, 9), agent.policy.settings.abilities)
    data = {"step": 3, "n_futures": 3, "max_steps": 2, "edit": {"map": ZERO}}
    question = read_question(data, episode, maps)
    futures = play_futures(episode, run, question, tmp_path / "a", job)
    assert {side: len(of) for side, of in futures.items()} == {"own": 1, "edited": 1}
    with pytest.raises(StoppedError):
        play_futures(episode, run, question, tmp_path / "b", job)


def test_one_piece_of_work_at_a_time_and_it_stops(viewer):
    path = f"/api/episodes/{viewer.episodes['plain']}/futures"
    long = {"step": 1, "edit": {"map": ZERO}, "n_futures": 16, "max_steps": 2000}
    job = viewer.client.post(path, long)["job"]
    error = viewer.client.post(path, long, status=409)["error"]
    assert "still being done" in error
    # What is quick is answered meanwhile.
    viewer.client.post(path.replace("futures", "what-if"), {"step": 5})
    viewer.client.post(f"/api/jobs/{job}/stop", {})
    for _ in range(600):
        state = viewer.client.get(f"/api/jobs/{job}").json
        if state["state"] != "running":
            break
        threading.Event().wait(0.05)
    assert state["state"] in ("failed", "done")
    assert state["done"] < state["of"] or len(state["result"]["own"]["returns"]) < 16


def test_futures_go_away_with_the_server(runs):
    with serving(runs / "plain") as client:
        (episode,) = client.get("/api/library").json["episodes"]
        result = client.job(
            f"/api/episodes/{episode['id']}/futures",
            {"step": 1, "edit": {"map": ZERO}, "n_futures": 1, "max_steps": 2},
        )["result"]
        label = client.get(f"/api/episodes/{result['own']['episodes'][0]}").json["label"]
        assert Path(label).is_dir()
        # They are not among what is listed.
        assert len(client.get("/api/library").json["episodes"]) == 1
    assert not Path(label).exists()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, "expected an edit, got none"),
        ({"edit": {}}, "expected a map or a rule in the edit, got neither"),
        ({"edit": {"map": ZERO}, "n_futures": 17}, "from 1 to 16 as 'n_futures'"),
        ({"edit": {"map": ZERO}, "max_steps": 2001}, "from 1 to 2,000 as 'max_steps'"),
        ({"edit": {"map": ZERO, "how": "ever"}}, "expected one of once, steps, always as 'how'"),
        ({"edit": {"map": ZERO, "how": "steps"}}, "from 1 to 2,000 as 'n' in the edit, got none"),
        ({"edit": {"rule": {"kind": "look"}}}, "expected one of never_look_at, intervention"),
        ({"edit": {"rule": {"kind": "never_look_at"}}}, "in 9x9 map cells"),
        (
            {"edit": {"rule": {"kind": "never_look_at", "box": [0, 0, 10, 1]}}},
            "in 9x9 map cells (columns x rows), got [0, 0, 10, 1]",
        ),
        ({"edit": {"rule": {"kind": "intervention", "name": "none"}}}, "expected one of zero"),
    ],
)
def test_a_mistake_is_one_line(viewer, question, expected):
    path = f"/api/episodes/{viewer.episodes['plain']}/futures"
    error = viewer.client.post(path, {"step": 1, **question}, status=400)["error"]
    assert expected in error


def test_rules_on_places_ask_for_places():
    from rl_abn.errors import RlAbnError

    maps = Maps(("shared",), (64, 1), Abilities(maps="channel"))
    with pytest.raises(RlAbnError, match="expected spatial maps for a rule on places, got channel"):
        read_plan({"rule": {"kind": "never_look_at", "box": [0, 0, 1, 1]}}, maps, ("zero",))
