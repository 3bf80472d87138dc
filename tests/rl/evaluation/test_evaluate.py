import json
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_env
from rl_abn.rl.evaluation import episodes
from rl_abn.rl.evaluation.episodes import play_games, split_quota
from rl_abn.rl.evaluation.evaluate import evaluate
from rl_abn.rl.evaluation.players import RandomPlayer
from tests.rl.conftest import ProbeGame


class ShortOrLong(ProbeGame):
    """Half the games last 1 step and score 1, half last 19 and score 19."""

    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        observation = super().reset(seed=seed)
        self.length = int(self.np_random.choice([1, 19]))
        return observation


@pytest.mark.parametrize(("n_games", "n_envs"), [(30, 16), (7, 3), (5, 5), (1, 1)])
def test_quotas_are_set_before_any_game_is_played(n_games, n_envs):
    quota = split_quota(n_games, n_envs)
    assert quota.sum() == n_games
    assert quota.max() - quota.min() <= 1


def test_several_games_at_once_do_not_favour_short_ones():
    """Stopping at the first N games that end would give a mean of about 2."""
    env = VecMonitor(DummyVecEnv([ShortOrLong] * 16))
    env.seed(0)
    games = play_games(RandomPlayer(2, seed=0), env, 800)
    assert len(games) == 800
    assert np.mean([game.score for game in games]) == pytest.approx(10, abs=1)
    assert all(game.score == game.length for game in games)


class Standing(ShortOrLong):
    """A game that lasts."""

    def reset(self, *, seed=None, options=None):
        observation = super().reset(seed=seed)
        self.length = 25
        return observation


def test_the_report_says_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(episodes, "LONG", 10)
    env = VecMonitor(DummyVecEnv([Standing] * 2))
    env.seed(0)
    told = []
    report = SimpleNamespace(update=lambda done, **numbers: told.append((done, numbers)))
    play_games(RandomPlayer(2, seed=0), env, 2, report, done_before=3)
    said = [(done, numbers["in_play"]) for done, numbers in told if "in_play" in numbers]
    assert said == [(3, f"{n} steps (--max-steps cuts them off)") for n in (10, 20)]
    assert [done for done, numbers in told if "mean" in numbers] == [4, 5]


@pytest.mark.full
def test_a_random_player_scores_what_the_literature_says(space_invaders):
    """148 on Space Invaders, Mnih et al. 2015; the interval of 24 games holds it."""
    result = evaluate(RandomPlayer(6, seed=0), space_invaders, "legacy", 24, seed=0)
    assert len(result.games) == 24
    assert result.mean.low < 148 < result.mean.high
    assert abs(result.human_normalised) < 0.05
    assert result.max_frames == 108_000
    assert not any(game.truncated for game in result.games)


def test_a_game_without_reference_scores_is_not_normalised():
    recipe = load_env("assault")
    result = evaluate(RandomPlayer(7, seed=0), recipe, "legacy", 1, seed=0, max_steps=20)
    assert result.human_normalised is None
    assert result.as_json()["human_normalised"] is None


@pytest.mark.more
def test_same_seed_same_scores(space_invaders):
    def scores(seed):
        player = RandomPlayer(6, seed=seed)
        result = evaluate(player, space_invaders, "legacy", 3, seed=seed, max_steps=150)
        return [game.score for game in result.games]

    assert scores(1) == scores(1)
    assert scores(1) != scores(2)


@pytest.mark.parametrize(("own", "n_actions"), [(None, 18), (False, 6)])
def test_an_agent_keeps_the_actions_it_was_trained_with(space_invaders, own, n_actions):
    player = RandomPlayer(n_actions, seed=0)
    result = evaluate(player, space_invaders, "machado2018", 1, full_action_space=own)
    assert (result.protocol, result.n_actions, result.max_frames) == (
        "machado2018",
        n_actions,
        18_000,
    )


def test_an_evaluation_is_plain_json(space_invaders):
    result = evaluate(RandomPlayer(6, seed=0), space_invaders, "legacy", 2)
    data = json.loads(json.dumps(result.as_json()))
    assert data["mean"]["value"] == np.mean([game["score"] for game in data["games"]])
    assert data["games"][0].keys() == {"score", "length", "truncated"}


def test_a_protocol_the_recipe_lacks_is_refused(space_invaders):
    only_legacy = {"legacy": space_invaders.protocol["legacy"]}
    recipe = space_invaders.model_copy(update={"protocol": only_legacy})
    with pytest.raises(RlAbnError, match=r"\(legacy\), got 'machado2018'"):
        evaluate(RandomPlayer(6, seed=0), recipe, "machado2018", 1)


def test_games_are_cut_off_after_so_many_steps(space_invaders):
    result = evaluate(RandomPlayer(6, seed=0), space_invaders, "legacy", 3, max_steps=5)
    assert result.max_frames == 20
    assert [(game.length, game.truncated) for game in result.games] == [(5, True)] * 3


def test_the_protocols_own_cap_is_never_raised(space_invaders):
    short = space_invaders.protocol["legacy"].model_copy(update={"max_frames": 60})
    recipe = space_invaders.model_copy(update={"protocol": {"legacy": short}})
    result = evaluate(RandomPlayer(6, seed=0), recipe, "legacy", 1, max_steps=10_000)
    assert (result.max_frames, result.games[0].length) == (60, 15)
