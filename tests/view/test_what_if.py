"""What an agent would do, had it looked elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rl_abn.attention import Abilities, Intervention
from rl_abn.record import Episode
from rl_abn.rl.evaluation.replay import Replay, player_of
from rl_abn.view.painted import Maps, read_painted
from tests.covering import more
from tests.view.served import MAPS, painted

AGENTS = ("plain", "memory", "hard")
STEPS = (70, 3, 64)  # back and forth, over the border of a chunk


def ask(viewer, name, **question):
    return viewer.client.post(f"/api/episodes/{viewer.episodes[name]}/what-if", question)


@pytest.mark.parametrize("name", AGENTS)
def test_its_own_answer_is_the_recorded_one(viewer, name):
    episode = Episode(viewer.folders[name])
    for step in STEPS:
        own = ask(viewer, name, step=step)["own"]
        recorded = episode.step(step)
        assert np.array_equal(np.float32(own["probabilities"]), recorded["probabilities"])
        assert np.float32(own["value"]) == recorded["value"]
        maps = np.float32([own["maps"][each] for each in MAPS[name][0]])
        assert np.allclose(maps, recorded["maps"], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["memory", *more(*(name for name in AGENTS if name != "memory"))])
def test_a_painted_map_is_acted_on_with_the_memory_before_the_step(viewer, name):
    """As the agent answers itself that was led to the step and is given the map there."""
    episode = Episode(viewer.folders[name])
    agent = player_of(episode)
    for step in STEPS:
        found = ask(viewer, name, step=step, map=painted(name, corner=1.0))
        replay = Replay(episode, agent)
        replay.go_to(step)
        rows = torch.tensor(painted(name, corner=1.0)[MAPS[name][0][0]])
        if name == "hard":
            rows = rows / rows.sum()
        before = None if agent.state is None else [part.clone() for part in agent.state]
        output, _ = agent.policy.attend(
            torch.as_tensor(replay.observation[None]), agent.state, rows
        )
        expected = output.action_logits[0].softmax(dim=-1).detach().numpy()
        assert np.allclose(found["probabilities"], expected, rtol=1e-4, atol=1e-6)
        assert np.isclose(found["value"], float(output.value[0].detach()), rtol=1e-4, atol=1e-6)
        if before is not None:
            assert all(map(torch.equal, before, agent.state))
        own = np.array(found["own"]["probabilities"])
        kl = float((own * np.log(own / np.array(found["probabilities"]))).sum())
        assert np.isclose(found["kl"], kl, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", AGENTS)
def test_questions_leave_no_trace(viewer, name):
    before = ask(viewer, name, step=40)
    for step in (40, 41, 40):
        ask(viewer, name, step=step, map=painted(name, 0.3, 1.0))
        ask(viewer, name, step=step, intervention="shuffled")
    assert ask(viewer, name, step=40) == before


def test_values_are_kept_within_0_and_1(viewer):
    found = ask(viewer, "plain", step=1, map=painted("plain", 5.0, 5.0))
    assert found["maps"]["shared"] == [[1.0] * 9] * 9


def test_maps_that_share_out_a_sum_are_divided_by_it(viewer):
    found = ask(viewer, "hard", step=1, map=painted("hard", 1.0, 1.0))
    assert np.allclose(found["maps"]["shared"], 1 / 49, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        ("spatial", 1, [[0.1, 0.1], [0.0, 0.2], [0.4, 0.2]]),
        ("pairwise", 1, [[0.5, 0.5], [0.0, 1.0], [2 / 3, 1 / 3]]),
        ("temporal", 3, [[1 / 6, 1 / 6], [0.0, 1 / 3], [2 / 9, 1 / 9]]),
    ],
)
def test_what_shares_out_a_sum_is_brought_to_it(kind, parts, expected):
    maps = Maps(("shared",), (3, 2), Abilities(maps=kind, sums_to_one=True), parts)
    rows = [[0.25, 0.25], [0.0, 0.5], [1.0, 0.5]]
    assert read_painted({"shared": rows}, maps).maps["shared"] == pytest.approx(np.array(expected))
    nothing = np.zeros((3, 2))
    assert (read_painted({"shared": nothing.tolist()}, maps).maps["shared"] == nothing).all()


@pytest.mark.parametrize("label", ["zero", "uniform", "inverted", "shifted"])
def test_an_intervention_changes_the_maps(viewer, label):
    found = ask(viewer, "plain", step=30, intervention=label)
    own = torch.tensor(found["own"]["maps"]["shared"])[None, None]
    expected = Intervention(label)(own, torch.tensor([False]))[0, 0]
    assert np.allclose(found["maps"]["shared"], expected, rtol=1e-3, atol=1e-4)


def test_interventions_by_other_moments_take_them_from_the_recording(viewer):
    episode = Episode(viewer.folders["plain"])
    maps = np.concatenate([episode.array("maps", chunk)[:, 0] for chunk in (0, 1)]).astype(float)
    for label, expected in (("time_average", maps.mean(axis=0)), ("frozen", maps[0])):
        found = ask(viewer, "plain", step=30, intervention=label)["maps"]["shared"]
        assert np.allclose(found, expected, atol=1e-4)
    swapped = np.array(ask(viewer, "plain", step=30, intervention="swap")["maps"]["shared"])
    distances = np.abs(maps - swapped).max(axis=(1, 2))
    assert distances.min() < 1e-4
    assert distances.argmin() != 30


MISTAKES = {
    "no step": ({}, "expected a whole number from 0 to 79 as 'step' in the body, got none"),
    "a step after the last": ({"step": 80}, "from 0 to 79 as 'step' in the body, got 80"),
    "a step that is none": ({"step": True}, "got True"),
    "another field": ({"step": 1, "mapp": 3}, "unknown field 'mapp' in the body: did you mean"),
    "another map": ({"step": 1, "map": {"value": []}}, "unknown field 'value' in the map"),
    "no map": ({"step": 1, "map": {}}, "expected a map of shared, got none"),
    "a size": (
        {"step": 1, "map": {"shared": [[0.0] * 8] * 9}},
        "expected 9x9 numbers (rows x columns) as map 'shared', got a row that is a list of 8",
    ),
    "text": ({"step": 1, "map": {"shared": [["1"] * 9] * 9}}, "got text"),
    "a huge number": ({"step": 1, "map": {"shared": [[10**300] * 9] * 9}}, "got a huge number"),
    "both": (
        {"step": 1, "map": painted("plain"), "intervention": "zero"},
        "expected a map or an intervention, got both",
    ),
    "an intervention": ({"step": 1, "intervention": "zer"}, "expected one of zero, uniform"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(viewer, mistake):
    question, expected = MISTAKES[mistake]
    path = f"/api/episodes/{viewer.episodes['plain']}/what-if"
    error = viewer.client.post(path, question, status=400)["error"]
    assert expected in error
    assert "\n" not in error


def test_a_recording_with_changed_maps_is_not_asked(viewer):
    path = f"/api/episodes/{viewer.episodes['changed']}"
    shown = viewer.client.get(path).json
    assert shown["can_ask"] is False
    assert "own maps, got one whose maps were uniform" in shown["why_not"]
    error = viewer.client.post(f"{path}/what-if", {"step": 1}, status=400)["error"]
    assert error == shown["why_not"]


def test_an_agent_whose_checkpoint_is_gone_is_not_asked(tmp_path):
    import shutil

    from tests.rl.evaluation.recorded import make_run, record
    from tests.view.served import serving

    run = make_run(tmp_path / "run")
    record(run, max_steps=2)
    shutil.rmtree(run.path / "checkpoints")
    with serving(tmp_path) as client:
        (episode,) = client.get("/api/library").json["episodes"]
        shown = client.get(f"/api/episodes/{episode['id']}").json
        assert (shown["can_ask"], shown["why_not"]) == (
            False,
            "expected the checkpoint that played (step 64), got none: it was removed",
        )


@pytest.mark.more
def test_a_game_that_lies_elsewhere_is_asked_of_a_run_with_the_weights_that_played(tmp_path):
    """Of its run in another place, not of another seed's with the same recipe."""
    from tests.rl.evaluation.recorded import make_run, record
    from tests.view.served import serving

    run = make_run(tmp_path / "run")
    recording = record(run, max_steps=3, out=tmp_path / "rec")
    run.path.rename(tmp_path / "moved")
    make_run(tmp_path / "other", seed=1)
    question = {"step": 1, "intervention": "zero"}
    with serving(tmp_path / "rec", tmp_path / "other") as client:
        (episode,) = client.get("/api/library").json["episodes"]
        path = f"/api/episodes/{episode['id']}"
        assert client.get(path).json["why_not"] == (
            "expected the run of the agent that played among those served, got none; serve it "
            "too: rl-abn view … RUN"
        )
        client.post(path + "/what-if", question, status=400)
    with serving(tmp_path / "rec", tmp_path / "other", tmp_path / "moved") as client:
        assert client.get(path).json["can_ask"] is True
        own = client.post(path + "/what-if", question)["own"]
        recorded = recording.step(1)["probabilities"]
        assert np.array_equal(np.float32(own["probabilities"]), recorded)
