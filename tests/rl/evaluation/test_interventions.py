"""An agent that acts on maps that are not its own."""

import json
import re

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from rl_abn.attention import INTERVENTIONS
from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_agent, make_run_recipe
from rl_abn.rl import AttentionPolicy
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.episodes import play_games
from rl_abn.rl.evaluation.evaluate import evaluate_run
from rl_abn.rl.evaluation.interventions import Change, read_changes
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.single_game import play_game
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import Run
from tests.rl.conftest import SIZE, ProbeGame

N = 6
SCREENS = np.random.default_rng(0).integers(256, size=(N, 1, SIZE, SIZE), dtype=np.uint8)
BEGAN, GOES_ON = np.ones(N, bool), np.zeros(N, bool)


@pytest.fixture
def policy():
    """A mask agent with split maps whose weights make every observation count."""
    torch.manual_seed(0)
    policy = AttentionPolicy(
        ProbeGame.observation_space,
        spaces.Discrete(4),
        lambda _: 1e-3,
        extractor="tiny",
        mechanism="mask",
        maps="split",
        branch_answers=False,
    )
    with torch.no_grad():
        for weight in policy.parameters():
            weight.normal_(0, 0.3)
    policy.set_training_mode(False)
    return policy


def player(policy, label, seed=0, greedy=False):
    intervention = Change(*label.split(":")).make(policy, seed)
    return AgentPlayer(label, policy, greedy=greedy, seed=seed, intervention=intervention)


def think(policy, label, screens=SCREENS, episode_start=BEGAN):
    return player(policy, label).act(screens, episode_start)[1]


def test_under_a_zero_mask_the_policy_does_not_depend_on_what_is_seen(policy):
    intact, _ = policy.attend(torch.as_tensor(SCREENS))
    blind = think(policy, "zero")
    torch.testing.assert_close(blind.action_logits, blind.action_logits[:1].expand(N, -1))
    torch.testing.assert_close(blind.value, blind.value[:1].expand(N))
    assert intact.action_logits.std(dim=0).min() > 1e-2
    greedy, _ = player(policy, "zero", greedy=True).act(SCREENS, BEGAN)
    assert len(set(greedy)) == 1


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_policy_map_and_value_map_are_changed_apart(policy, name):
    screens = torch.as_tensor(SCREENS)
    intact, _ = policy.attend(screens)
    for only, same, other in (
        ("policy", "value", "action_logits"),
        ("value", "action_logits", "value"),
    ):
        one = player(policy, f"{name}:{only}")
        one.act(SCREENS[::-1].copy(), BEGAN)  # so that frozen maps are not this observation's
        _, changed = one.act(SCREENS, GOES_ON)
        torch.testing.assert_close(getattr(changed, same), getattr(intact, same))
        assert (getattr(changed, other) - getattr(intact, other)).abs().max() > 1e-3
        kept = 1 if only == "policy" else 0
        assert torch.equal(changed.map[:, kept], intact.map[:, kept])


def test_maps_that_are_changed_alone_are_changed_as_both_are(policy):
    both = think(policy, "inverted")
    torch.testing.assert_close(both.action_logits, think(policy, "inverted:policy").action_logits)
    torch.testing.assert_close(both.value, think(policy, "inverted:value").value)


def test_shuffling_is_decided_by_the_seed_and_not_tied_to_the_actions_draws(policy):
    first, again, other = (player(policy, "shuffled", seed) for seed in (1, 1, 2))
    for _ in range(3):
        (actions, maps), (same, same_maps) = (p.act(SCREENS, GOES_ON) for p in (first, again))
        assert torch.equal(maps.map, same_maps.map)
        assert np.array_equal(actions, same)
    assert not torch.equal(maps.map, other.act(SCREENS, GOES_ON)[1].map)
    draws = Change("shuffled").make(policy, 1), torch.Generator().manual_seed(1)
    cells = torch.rand(N, 2, 36, generator=draws[1]).argsort(dim=2)
    own = policy.attend(torch.as_tensor(SCREENS))[0].map
    naive = own.flatten(2).gather(2, cells).view_as(own)
    assert not torch.equal(draws[0](own, torch.as_tensor(BEGAN)), naive)


class Uneven(ProbeGame):
    """Lasts 1 to 5 steps; every screen is another, and its first pixel tells the step."""

    def reset(self, *, seed=None, options=None):
        observation = super().reset(seed=seed)
        self.length = int(self.np_random.integers(1, 6))
        return observation

    def picture(self):
        picture = self.np_random.integers(256, size=(1, SIZE, SIZE), dtype=np.uint8)
        picture[0, 0, 0] = self.t
        return picture


class Diary:
    """Plays as another does and notes what it was told, its own maps and those it acted on."""

    def __init__(self, player):
        self.player, self.name, self.map_names = player, player.name, player.map_names
        self.episode_start, self.steps, self.own, self.acted_on = [], [], [], []

    def act(self, observations, episode_start, lost_life=None):
        actions, attention = self.player.act(observations, episode_start, lost_life)
        own, _ = self.player.policy.attend(torch.as_tensor(observations))
        self.episode_start.append(episode_start.copy())
        self.steps.append(observations[:, 0, 0, 0].copy())
        self.own.append(own.map.detach().clone())
        self.acted_on.append(attention.map.clone())
        return np.minimum(actions, 1), attention


def test_frozen_maps_are_each_games_first_until_that_game_ends(policy):
    env = VecMonitor(DummyVecEnv([Uneven] * 3))
    env.seed(0)
    diary = Diary(player(policy, "frozen"))
    play_games(diary, env, 12)
    episode_start = np.array(diary.episode_start)
    assert np.array_equal(episode_start, np.array(diary.steps) == 0)
    assert episode_start[0].all()
    assert not (
        episode_start[1:].all(axis=1) | ~episode_start[1:].any(axis=1)
    ).all()  # games end one by one
    first = diary.own[0].clone()
    for episode_start, own, acted_on in zip(
        diary.episode_start, diary.own, diary.acted_on, strict=True
    ):
        first[episode_start] = own[episode_start]
        torch.testing.assert_close(acted_on, first)


def test_a_single_game_is_told_when_it_begins(space_invaders):
    protocol = space_invaders.protocol["legacy"].model_copy(update={"max_frames": 20})
    told = []

    class Listener:
        name, map_names = "listener", ()

        def act(self, observations, episode_start, lost_life=None):
            told.append(episode_start.tolist())
            return np.zeros(1, np.int64), None

    for seed in (1, 2):
        play_game(Listener(), SingleEnv(space_invaders.game, protocol), seed, [])
    assert told == 2 * [[True], [False], [False], [False], [False]]


@pytest.mark.parametrize(
    ("agent", "words", "labels"),
    [
        ("ppo_abn", [], []),
        ("ppo_abn", ["zero"], ["zero"]),
        ("ppo_abn", ["all"], ["zero", "uniform", "inverted", "shuffled", "frozen"]),
        ("ppo_abn", ["zero", "zero:shared", "zero:each"], ["zero"]),
        ("ppo_mask", ["zero:each"], ["zero", "zero:policy", "zero:value"]),
        ("ppo_mask", ["uniform:value", "zero", "uniform:value"], ["uniform:value", "zero"]),
        ("ppo_mask", ["frozen:policy", "all:policy"], [
            "frozen:policy", "zero:policy", "uniform:policy", "inverted:policy", "shuffled:policy",
        ]),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_read_against_the_agents_maps(agent, words, labels):
    changes = read_changes(words, agent, load_agent(agent))
    assert [change.label for change in changes] == labels


def test_all_of_each():
    assert len(read_changes(["all:each"], "a2c_mask", load_agent("a2c_mask"))) == 15


def test_an_agent_without_maps_has_none_to_change():
    agent = load_agent("ppo_cnn")
    assert read_changes([], "ppo_cnn", agent) == []
    with pytest.raises(
        RlAbnError,
        match=r"^expected an agent with attention maps, got 'ppo_cnn', which has none to change$",
    ):
        read_changes(["zero"], "ppo_cnn", agent)


@pytest.fixture
def run(tmp_path):
    """An untrained mask agent whose games are cut off early."""
    settings = ["protocol.legacy.max_frames=400"]
    recipe = make_run_recipe("space_invaders", "ppo_mask", 0, settings)
    run = Run.create(tmp_path / "run", recipe, "cpu")
    torch.manual_seed(0)
    weights = make_policy(recipe).state_dict()
    weights["action_net.weight"] *= 300  # an untrained policy is even, whatever it sees
    run.save_checkpoint(64, weights, {"nothing": torch.zeros(1)}, {})
    return run


class Tally:
    def __init__(self):
        self.done, self.players = [], []

    def update(self, done, **numbers):
        self.done.append(done)
        self.players.append(numbers["player"])


def test_the_intact_agent_plays_as_it_would_alone_and_others_play_beside_it(run):
    changes = [Change("zero"), Change("frozen", "policy")]
    tally = Tally()
    result = evaluate_run(run, n_games=2, changes=changes, beside_random=True, report=tally)
    assert result.intact.games == evaluate_run(run, n_games=2).intact.games
    names = ["ppo_mask", "zero", "frozen:policy", "random"]
    assert [e.player for e in result.evaluations] == names
    assert [e.player for e in result.changed] == names[1:3]
    assert result.random is result.evaluations[-1]
    assert [e.changed_maps for e in result.changed] == [("policy", "value"), ("policy",)]
    assert result.changed[0].games != result.intact.games
    for evaluation in result.evaluations[1:]:
        expected = evaluation.mean.value - result.intact.mean.value
        assert evaluation.difference.value == pytest.approx(expected)
    assert tally.done == list(range(1, 9))
    assert tally.players == [name for name in names for _ in range(2)]


def test_with_only_the_value_map_changed_the_very_same_games_are_played(run):
    changes = [Change("zero", "value"), Change("shuffled", "value")]
    result = evaluate_run(run, n_games=2, changes=changes)
    for evaluation in result.changed:
        assert evaluation.games == result.intact.games
        assert evaluation.difference.value == 0
        assert not evaluation.difference.excludes_zero


def test_without_a_random_player_nobody_is_taken_for_one(run):
    result = evaluate_run(run, n_games=1, changes=[Change("zero")], max_steps=3)
    assert result.random is None
    assert result.beats_random is None
    assert evaluate_run(run, n_games=1, max_steps=3).random is None


def test_an_evaluation_with_interventions_is_plain_json(run):
    result = evaluate_run(run, n_games=2, changes=[Change("uniform", "value")], max_steps=3)
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    intact, changed = data["evaluations"]
    assert (intact["intervention"], intact["changed_maps"], intact["difference"]) == (
        None,
        [],
        None,
    )
    assert changed["intervention"] == "uniform"
    assert changed["changed_maps"] == ["value"]
    assert changed["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "share": None}
    assert (data["max_steps"], changed["max_frames"]) == (3, 12)


def test_no_kept_file_takes_anothers_place(run):
    alone = evaluate_run(run, n_games=1, max_steps=2)

    def keep(*changes):
        beside = [
            alone.intact._replace(player=c.label, intervention=c.intervention) for c in changes
        ]
        result = alone._replace(evaluations=[alone.intact, *beside])
        return result.keep(run), result._replace(max_steps=None).keep(run)

    zero, frozen = Change("zero"), Change("frozen", "policy")
    everything = read_changes(["all:each"], "ppo_mask", run.recipe.agent)
    kept = [*keep(), *keep(zero), *keep(frozen), *keep(zero, frozen), *keep(*everything)]
    assert len(set(kept)) == 10
    assert keep(frozen, zero) == keep(zero, frozen)
    assert max(len(path.name) for path in kept) < 100
    assert kept[1].name == "step-64-legacy-stochastic-1-games-0.json"
    assert re.fullmatch(
        r"step-64-legacy-stochastic-1-games-0-cut-at-2-interventions-\w{8}\.json", kept[2].name
    )
