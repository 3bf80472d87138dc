"""A recorded step is reached again bit for bit."""

from __future__ import annotations

import json
import shutil
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.record.chunks import pack_state, read_state
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.recording import arrays_of
from rl_abn.rl.evaluation.replay import Replay, game_of, player_of
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from tests.covering import more
from tests.rl.evaluation.recorded import make_run, record

STICKY = "train.protocol=machado2018"
N = 150  # steps: two chunks, and a third that is not full
PLAYERS = {
    "plain": ("ppo_abn_paper", "space_invaders", [STICKY]),
    "memory": ("a2c_mask_convlstm", "space_invaders", [STICKY]),
    "memory that asks": ("ppo_soft", "space_invaders", []),
    "hard attention": ("a2c_hard", "ms_pacman", [STICKY]),
    "statistics": ("a2c_mask_a3c", "ms_pacman", []),
}


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    """Returns a player's run and its game, by default in the run's folder; each is played once."""

    @cache
    def play(player, elsewhere=False):
        agent, game, settings = PLAYERS[player]
        folder = tmp_path_factory.mktemp("games")
        run = make_run(folder / "run", agent, game, *settings)
        out = folder / "elsewhere" if elsewhere else None
        return run, record(run, max_steps=N, keep=["observations"], out=out)

    return play


@pytest.fixture
def recorded(games, tmp_path):
    """Returns a copy of a player's game, in its run's folder or elsewhere: it may be changed."""

    def copied(player, elsewhere=False):
        run, episode = games(player, elsewhere)
        if elsewhere:
            return Episode(shutil.copytree(episode.path, tmp_path / episode.path.name))
        shutil.copytree(run.path, tmp_path / "run")
        return Episode(tmp_path / "run" / episode.path.relative_to(run.path))

    return copied


def same(output, step):
    found = arrays_of(output, 0)
    return all(np.array_equal(found[name], step[name]) for name in found)


@pytest.mark.parametrize("player", ["plain", *more(*(name for name in PLAYERS if name != "plain"))])
def test_frames_observations_and_outputs_are_those_of_the_recording(recorded, player):
    episode = recorded(player)
    assert episode.n_steps == N
    agent = player_of(episode)
    replay = Replay(episode, agent)
    # Backwards, so that every jump starts from a state.
    for first in (130, 70, 63, 0):
        replay.go_to(first)
        for step in range(first, first + 12):
            known = episode.step(step)
            assert np.array_equal(replay.observation, known["observation"])
            assert np.array_equal(replay.env.frame, episode.frame(step))
            assert replay.env.lives == known["lives"]
            assert same(replay.advance(), known)


@pytest.mark.more
@pytest.mark.parametrize("player", ["plain", "memory", "hard attention"])
def test_the_agent_goes_on_from_a_step_as_it_did(recorded, player):
    """Nobody tells it what to do: the draws and the sticky actions are those of the recording."""
    episode = recorded(player)
    replay = Replay(episode, player_of(episode))
    replay.go_to(75)
    for step in range(75, 140):
        action, output = replay.decide()
        assert action == episode.step(step)["action"]
        assert same(output, episode.step(step))
        replay.play(action)
    assert len(set(episode.numbers("action").tolist())) > 1


@pytest.mark.more
def test_hard_attention_of_an_evaluation_looks_where_it_looked(tmp_path):
    """Its draws are of all games together, and are not kept."""
    run = make_run(tmp_path / "run", "a2c_hard", "ms_pacman", STICKY)
    game, _ = evaluate_run(run, n_games=2, max_steps=80, record=2).recorded
    episode = Episode(game.path)
    replay = Replay(episode, player_of(episode))
    replay.go_to(70)  # from the state at 64, whose memory is of other glimpses than drawn here
    for step in range(70, 80):
        known, output = episode.step(step), replay.advance()
        assert output.glimpse.item() == known["glimpse"]
        probabilities = output.action_logits[0].softmax(dim=-1).numpy()
        np.testing.assert_allclose(probabilities, known["probabilities"], atol=1e-4)


@pytest.mark.parametrize("glimpse", [49, -1])
def test_a_glimpse_at_no_location_is_refused(recorded, glimpse):
    episode = recorded("hard attention")
    path = episode.path / "trace" / "000000.safetensors"
    steps = load_file(path)
    steps["glimpse"][2] = glimpse
    save_file(steps, path)
    changed = Episode(episode.path)
    with pytest.raises(
        RlAbnError, match="expected a glimpse at one of 49 locations at step 2, got"
    ):
        Replay(changed, player_of(changed)).go_to(5)


def test_another_action_leads_elsewhere(recorded):
    episode = recorded("plain")
    replay = Replay(episode)
    replay.go_to(100)
    for _ in range(20):
        replay.play(int(episode.numbers("action")[replay.step] == 3) + 3)  # always elsewhere
    assert not np.array_equal(replay.env.frame, episode.frame(120))
    replay.go_to(120)
    assert np.array_equal(replay.env.frame, episode.frame(120))


@pytest.mark.more
@pytest.mark.parametrize("intervention", ["uniform", "swap", "time_average"])
def test_a_game_under_an_intervention(games, tmp_path, intervention):
    """What remembers earlier maps is played from the start."""
    spec = InterventionSpec(intervention)
    run, _ = games("plain")
    episode = record(
        run, max_steps=90, keep=["observations"], intervention=spec, out=tmp_path / "elsewhere"
    )
    assert episode.meta.title.startswith(f"ppo_abn_paper (maps: {intervention}) on ")
    # The folder lies elsewhere: the run is where it was when it was recorded.
    replay = Replay(episode, player_of(episode))
    for step in (80, 20):
        replay.go_to(step)
        assert same(replay.advance(), episode.step(step))


def test_skipped_frames_are_those_between_two_steps(recorded):
    episode = recorded("plain")
    frames = [frame for step in Replay(episode).skipped_frames(90) for frame in step]
    assert len(frames) == 4 * 90
    assert all(np.array_equal(frames[4 * t], episode.frame(t)) for t in range(90))
    moved = [t for t in range(89) if not np.array_equal(frames[4 * t], frames[4 * t + 4])]
    assert any(not np.array_equal(frames[4 * t + 2], frames[4 * t]) for t in moved)


def test_a_game_of_gymnasium_is_played_from_its_start(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "tests.rl.envs.catch_games:Catch-v0")
    episode = record(run, max_steps=5, keep=["observations"])
    replay = Replay(episode, player_of(episode))
    for step in (3, 1):
        assert np.array_equal(replay.go_to(step), episode.step(step)["observation"])
        assert same(replay.advance(), episode.step(step))
    with pytest.raises(RlAbnError, match="expected a game of ALE to show its skipped frames"):
        list(replay.skipped_frames())


def test_weights_that_did_not_play_are_refused(recorded, tmp_path):
    episode = recorded("plain")
    other = make_run(tmp_path / "other", "ppo_abn_paper", "space_invaders", STICKY, seed=1)
    with pytest.raises(RlAbnError, match="expected a checkpoint at step 64 with the weights"):
        player_of(episode, other)


def test_another_game_is_no_replay(recorded):
    """As if the emulator were another: the recorded screen does not come."""
    episode = recorded("plain")
    state = episode.path / "states" / "000001.z"
    state.write_bytes((episode.path / "states" / "000000.z").read_bytes())
    with pytest.raises(RlAbnError, match=r"expected the recorded \w+ at step .*with ale-py \d"):
        Replay(Episode(episode.path)).go_to(100)


def test_the_recipe_and_the_protocol_are_in_the_episode(recorded):
    episode = recorded("plain")
    recipe, protocol = game_of(episode)
    assert recipe.env_name == "space_invaders"
    assert protocol.repeat_action_probability == 0.25


@pytest.mark.parametrize(
    "kind", ["noise", "another game's", *more("cut off", "nothing", "no observation")]
)
def test_a_state_made_to_break_things_is_refused(recorded, kind):
    episode = recorded("plain")
    path = episode.path / "states" / "000000.z"
    state = read_state(path)
    changed = {
        "noise": {"emulator": np.random.default_rng(0).integers(256, size=9000, dtype=np.uint8)},
        "cut off": {"emulator": state["emulator"][:5000]},
        "nothing": {"emulator": np.zeros(0, np.uint8)},
        "another game's": {"stack": np.zeros((4, 64, 64), np.uint8)},
        "no observation": {"observation": np.zeros((4, 84, 84), np.float32)},
    }[kind]
    path.write_bytes(pack_state({**state, **changed}))
    with pytest.raises(RlAbnError, match=r"in a state|an emulator's state") as caught:
        Replay(Episode(episode.path)).go_to(3)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("table", "name", "value", "said"),
    [
        ("game", "protocol", None, "Field required|required|missing|expected"),
        ("recipe", "env", {"kind": "atari"}, "expected|missing|required"),
        ("agent", "sha256", 5, "expected a checkpoint at step"),
        ("agent", "intervention", ["zero"], "unknown intervention"),
        *more(
            ("game", "protocol", {"frame_skip": 0}, "frame_skip"),
            ("agent", "run", "\x00", "expected a run folder"),
            ("agent", "step", [], "expected a checkpoint at step"),
            ("agent", "seed", -1, "expected the agent's seed"),
            ("agent", "intervention", "all", "expected one intervention"),
        ),
    ],
)
def test_a_source_made_to_break_things_is_refused(recorded, table, name, value, said):
    episode = recorded("plain", elsewhere=True)
    path = episode.path / "meta.json"
    data = json.loads(path.read_text())
    data["source"][table][name] = value
    path.write_text(json.dumps(data))

    def use():
        changed = Episode(episode.path)
        Replay(changed, player_of(changed)).go_to(3)

    with pytest.raises(RlAbnError, match=said) as caught:
        use()
    assert len(str(caught.value).splitlines()) == 1
