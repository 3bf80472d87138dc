import json
import signal

import numpy as np
import pytest

import rl_abn
from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.render import read_video
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.record import check_free_episode, free_episode, record_policy, record_run
from rl_abn.rl.evaluation.recording import MOST_EVIDENCE_BYTES
from rl_abn.rl.evaluation.replay import Replay, player_of
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import watch_game
from rl_abn.rl.training.build import load_policy
from rl_abn.runs.contents import check_only_run
from rl_abn.stop_signal import StopSignal
from tests.rl.evaluation.recorded import STEP, make_run, record

SHORT = "protocol.legacy.max_frames=120"
IMPALA = ["network.extractor=impala"]


@pytest.mark.more
def test_a_recorded_game_is_the_one_that_is_watched(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "space_invaders", SHORT)
    games = list(record_run(run, episodes=2, seed=3))
    assert [game.path.name for game in games] == [f"step-{STEP}-game-{s}" for s in (3, 4)]
    for seed, game in zip((3, 4), games, strict=True):
        video = watch_game(run, seed=seed, out=tmp_path / "a.mp4")
        episode = Episode(game.path)
        assert video.n_frames == game.n_steps == episode.n_steps == read_video(video.path)[0]
        assert video.score == game.score == episode.numbers("score")[-1]
        assert episode.numbers("reward").sum() == game.score
        assert episode.numbers("truncated").tolist() == [False] * 29 + [True]
        assert (episode.meta.status, episode.cut) == ("whole", None)
    check_only_run(run.path)


def test_who_played_what_is_in_the_episode(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "ms_pacman")
    episode = record(run, max_steps=5, greedy=True)
    meta = episode.meta
    assert episode.path.name == f"step-{STEP}-game-0-greedy-cut-at-5"
    assert meta.title == "ppo_abn_paper (greedy) on Ms. Pac-Man, 64 steps trained"
    assert meta.map_names == ("shared",)
    assert meta.objects["blinky"]["colours"]
    agent = meta.source["agent"]
    assert (agent["step"], agent["greedy"], agent["intervention"]) == (STEP, True, None)
    assert len(agent["sha256"]) == 64
    assert meta.source["game"]["protocol_name"] == "legacy"
    probabilities = episode.numbers("probabilities")
    assert probabilities.shape == (5, 9)
    assert (episode.numbers("action") == probabilities.argmax(1)).all()
    assert meta.arrays["evidence"].shape == (10, 9, 9)
    assert "observation" not in meta.arrays


@pytest.mark.more
def test_evidence_is_kept_where_it_is_small_or_asked_for(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong", *IMPALA, "network.attention_at=11")
    assert "evidence" in record(run, max_steps=2).meta.arrays  # 11x11 locations, 6 actions
    fine = make_run(tmp_path / "fine", "ppo_abn_paper", "pong", *IMPALA, "network.attention_at=21")
    assert MOST_EVIDENCE_BYTES < 2 * 7 * 21 * 21
    assert "evidence" not in record(fine, max_steps=2).meta.arrays
    episode = record(fine, max_steps=2, keep=["evidence"], out=tmp_path / "e")
    assert episode.meta.arrays["evidence"].shape == (7, 21, 21)


@pytest.mark.more
@pytest.mark.parametrize(
    "agent",
    [
        "ppo_cnn",
        "ppo_nonlocal",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("ppo_se", "ppo_overtime")),
    ],
)
def test_agents_without_maps_or_with_others(tmp_path, agent):
    run = make_run(tmp_path / "run", agent, "pong")
    episode = record(run, max_steps=70)
    assert episode.meta.map_places == ((9, 9) if agent == "ppo_nonlocal" else None)
    replay = Replay(episode, player_of(episode))
    replay.go_to(65)
    output = replay.advance()
    assert np.array_equal(output.map[0].half().numpy(), episode.step(65)["maps"])


def test_maps_that_share_out_a_sum_are_drawn_as_multiples(tmp_path):
    meta = record(make_run(tmp_path / "run", "ppo_soft", "pong"), max_steps=2).meta
    assert (meta.scale, meta.even_factor) == ("even", 49)


@pytest.mark.more
@pytest.mark.parametrize(
    ("agent", "n_games"),
    [("a2c_mask_convlstm", 2), pytest.param("ppo_abn_paper", 18, marks=pytest.mark.full)],
)
def test_an_evaluation_is_the_same_when_it_is_recorded(tmp_path, agent, n_games):
    run = make_run(tmp_path / "run", agent, "space_invaders", SHORT)
    plain = evaluate_run(run, n_games=n_games, seed=5)
    filmed = evaluate_run(run, n_games=n_games, seed=5, record=min(3, n_games))
    assert json.dumps(plain.as_json()) == json.dumps(filmed.as_json())
    assert plain.recorded == ()
    # With 18 games in 16 environments, the first two play two each.
    firsts = [0, 2, 4] if n_games == 18 else [0, 1, 2]
    for i, game in enumerate(filmed.recorded):
        episode = Episode(game.path)
        of_it = filmed.intact.games[firsts[i]]
        assert game.path.name == f"step-64-legacy-stochastic-{n_games}-games-5-game-{i + 1}"
        assert (game.score, game.n_steps) == (of_it.score, of_it.length)
        assert (episode.n_steps, episode.cut) == (of_it.length, None)
        Replay(episode, player_of(episode)).go_to(20)
    check_only_run(run.path)


@pytest.mark.more
def test_an_evaluation_records_over_the_same_one(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    paths = [evaluate_run(run, n_games=1, max_steps=5, record=1).recorded[0].path for _ in "ab"]
    assert (
        paths == [run.path / "episodes" / "step-64-legacy-stochastic-1-games-0-cut-at-5-game-1"] * 2
    )


@pytest.mark.more
def test_the_games_of_an_evaluation_lose_lives_as_it_says(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "breakout", "protocol.legacy.max_frames=1200")
    result = evaluate_run(run, n_games=2, record=2)
    episode = Episode(result.recorded[0].path)
    lives = episode.numbers("lives")
    lost = np.flatnonzero(episode.numbers("lost_life"))
    assert lost.size
    assert lost.tolist() == (np.flatnonzero(np.diff(lives) < 0) + 1).tolist()


def test_more_games_than_environments_cannot_be_recorded(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    with pytest.raises(RlAbnError, match="expected at most 2 games to record"):
        evaluate_run(run, n_games=2, record=3)


@pytest.mark.more
def test_an_environment_that_does_not_repeat_its_game_is_recorded_up_to_there(
    tmp_path, monkeypatch, capsys
):
    from rl_abn.rl.envs.single_env import SingleEnv

    run = make_run(tmp_path / "run", "ppo_abn_paper", "space_invaders", SHORT)
    plain = evaluate_run(run, n_games=2)
    step, n = SingleEnv.step, iter(range(10**6))

    def other(self, *args):
        outcome = step(self, *args)
        return outcome._replace(observation=outcome.observation + (next(n) == 20))

    monkeypatch.setattr(SingleEnv, "step", other)
    filmed = evaluate_run(run, n_games=2, record=1)
    assert filmed.as_json() == plain.as_json()
    assert filmed.recorded[0].n_steps == 21
    assert not filmed.recorded[0].whole
    assert "does not repeat its game" in capsys.readouterr().err


@pytest.mark.parametrize("n_acts", [0, 3])
def test_an_evaluation_that_is_stopped_keeps_the_steps_so_far(tmp_path, monkeypatch, n_acts):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    options = {"n_games": 1, "max_steps": 5, "record": 1}
    with monkeypatch.context() as patch:
        act, n = AgentPlayer.act, iter(range(10))

        def stopped(self, *args):
            if next(n) == n_acts:
                raise KeyboardInterrupt
            return act(self, *args)

        patch.setattr(AgentPlayer, "act", stopped)
        with pytest.raises(KeyboardInterrupt):
            evaluate_run(run, **options)
    (folder,) = (run.path / "episodes").iterdir()
    if n_acts:
        episode = Episode(folder)
        assert (episode.n_steps, episode.meta.n_steps, episode.meta.status) == (3, 3, "cut")
    else:
        assert [path.name for path in folder.rglob("*.*")] == ["000000.z"]
        with pytest.raises(RlAbnError, match="which exists; add --on-exists new or overwrite"):
            check_free_episode(folder, None)
    # The same command records over it.
    (game,) = evaluate_run(run, **options).recorded
    assert (game.path, game.n_steps, game.whole) == (folder, 5, True)


def test_only_what_a_recording_begins_with_is_taken_for_one(tmp_path):
    for name in ("game.mp4", "notes.txt", "states/notes.txt"):
        path = tmp_path / name.replace("/", "-") / name
        path.parent.mkdir(parents=True)
        path.touch()
        with pytest.raises(RlAbnError, match="expected an episode to overwrite"):
            free_episode(tmp_path / name.replace("/", "-"), "overwrite")
        assert path.is_file()


def test_a_signal_cuts_a_recording(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    policy = load_policy(run, run.checkpoint(), "cpu")
    stop = StopSignal()
    stop.received = signal.SIGTERM
    game = record_policy(run, policy, STEP, tmp_path / "e", seed=0, stop=stop)
    assert (game.n_steps, game.whole) == (1, False)
    assert Episode(game.path).meta.status == "cut"


@pytest.mark.more
def test_an_episode_that_is_there(tmp_path):
    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    path = record(run, max_steps=2).path
    with pytest.raises(RlAbnError, match="add --on-exists new or overwrite"):
        record(run, max_steps=2)
    assert record(run, max_steps=2, on_exists="new").path == path.with_name(f"{path.name}-2")
    assert record(run, max_steps=2, on_exists="overwrite").path == path
    (path / "notes.txt").write_text("mine")
    with pytest.raises(RlAbnError, match=r"got 'notes\.txt'; move that"):
        free_episode(path, "overwrite")
    with pytest.raises(RlAbnError, match="which is none"):
        check_free_episode(run.path, "overwrite")
    assert (path / "notes.txt").read_text() == "mine"


@pytest.mark.more
def test_what_is_recorded_takes_no_more_memory_in_a_longer_game(tmp_path):
    import tracemalloc

    run = make_run(tmp_path / "run", "ppo_abn_paper", "pong")
    record(run, max_steps=70)  # what is loaded once
    tracemalloc.start()
    peaks = []
    for n in (70, 300):
        tracemalloc.reset_peak()
        next(iter(record_run(run, max_steps=n, out=tmp_path / f"{n}")))
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.more
def test_the_python_door_records_what_the_command_does(tmp_path):
    run = make_run(tmp_path / "run")
    known = record(run, out=tmp_path / "command", max_steps=5, seed=3)
    agent = rl_abn.load(run.path, device="cpu")
    one, other = agent.record(tmp_path / "door", episodes=2, seed=3, max_steps=5)
    assert [game.path.parent.name for game in (one, other)] == ["door", "door"]
    assert np.array_equal(Episode(one.path).numbers("value"), known.numbers("value"))
    with pytest.raises(RlAbnError, match="expected 1 episode or more, got 0"):
        agent.record(tmp_path / "none", episodes=0)
