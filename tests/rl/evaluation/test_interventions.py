"""Interventions on an agent's attention maps: which are evaluated, and what they change."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from rl_abn.attention import INTERVENTIONS
from rl_abn.attention.interventions import shifted
from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_agent, make_run_recipe
from rl_abn.rl import AttentionPolicy
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.episodes import play_games
from rl_abn.rl.evaluation.interventions import InterventionSpec, layout_of, read_interventions
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.single_game import play_game
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import Run
from tests.rl.conftest import SIZE, ProbeGame

N = 6
OBSERVATIONS = np.random.default_rng(0).integers(256, size=(N, 1, SIZE, SIZE), dtype=np.uint8)
FIRST_STEP, LATER_STEP = np.ones(N, bool), np.zeros(N, bool)


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
    intervention = InterventionSpec(*label.split(":")).make(policy, seed)
    return AgentPlayer(label, policy, greedy=greedy, seed=seed, intervention=intervention)


def output_under(policy, label):
    return player(policy, label).act(OBSERVATIONS, FIRST_STEP)[1]


def test_under_a_zero_mask_the_policy_does_not_depend_on_what_is_seen(policy):
    intact, _ = policy.attend(torch.as_tensor(OBSERVATIONS))
    ablated = output_under(policy, "zero")
    torch.testing.assert_close(ablated.action_logits, ablated.action_logits[:1].expand(N, -1))
    torch.testing.assert_close(ablated.value, ablated.value[:1].expand(N))
    assert intact.action_logits.std(dim=0).min() > 1e-2
    greedy, _ = player(policy, "zero", greedy=True).act(OBSERVATIONS, FIRST_STEP)
    assert len(set(greedy)) == 1


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_policy_map_and_value_map_are_intervened_on_separately(policy, name):
    intact, _ = policy.attend(torch.as_tensor(OBSERVATIONS))
    for only, same, other in (
        ("policy", "value", "action_logits"),
        ("value", "action_logits", "value"),
    ):
        one = player(policy, f"{name}:{only}")
        # Other observations first, so that frozen maps differ from the current ones.
        one.act(OBSERVATIONS[::-1].copy(), FIRST_STEP)
        _, output = one.act(OBSERVATIONS, LATER_STEP)
        torch.testing.assert_close(getattr(output, same), getattr(intact, same))
        assert (getattr(output, other) - getattr(intact, other)).abs().max() > 1e-3
        saved = 1 if only == "policy" else 0
        assert torch.equal(output.map[:, saved], intact.map[:, saved])


def test_an_intervention_on_one_map_does_what_it_does_on_both(policy):
    both = output_under(policy, "inverted")
    torch.testing.assert_close(
        both.action_logits, output_under(policy, "inverted:policy").action_logits
    )
    torch.testing.assert_close(both.value, output_under(policy, "inverted:value").value)


def test_shuffling_depends_on_the_seed_and_not_on_the_sampled_actions(policy):
    first, again, other = (player(policy, "shuffled", seed) for seed in (1, 1, 2))
    for _ in range(3):
        (actions, maps), (same, same_maps) = (
            p.act(OBSERVATIONS, LATER_STEP) for p in (first, again)
        )
        assert torch.equal(maps.map, same_maps.map)
        assert np.array_equal(actions, same)
    assert not torch.equal(maps.map, other.act(OBSERVATIONS, LATER_STEP)[1].map)
    shuffled = InterventionSpec("shuffled").make(policy, 1)
    generator = torch.Generator().manual_seed(1)
    cells = torch.rand(N, 2, 36, generator=generator).argsort(dim=2)
    own = policy.attend(torch.as_tensor(OBSERVATIONS))[0].map
    naive = own.flatten(2).gather(2, cells).view_as(own)
    assert not torch.equal(shuffled(own, torch.as_tensor(FIRST_STEP)), naive)


@pytest.mark.parametrize(
    ("agent", "block"), [("ppo_transformer", (7, 7)), ("ppo_memn2n", (16, 1)), ("ppo_se", (64, 1))]
)
def test_maps_of_an_agent_are_moved_by_what_they_are_of(agent, block):
    """Pairs of 7x7 locations in four heads, two hops of 16 steps, and 64 channels."""
    policy = make_policy(make_run_recipe("pong", agent, 0))
    screen = torch.zeros(1, *policy.observation_space.shape, dtype=torch.uint8)
    maps = torch.rand_like(policy.attend(screen)[0].map)
    layout = layout_of(policy)
    assert layout.block(*maps.shape[2:]) == block
    moved = InterventionSpec("shifted").make(policy, 0)(maps, torch.ones(1, dtype=torch.bool))
    assert torch.equal(moved, shifted(maps, layout))


class Uneven(ProbeGame):
    """Lasts 1 to 5 steps; every observation differs, and its first pixel is the step."""

    def reset(self, *, seed=None, options=None):
        observation = super().reset(seed=seed)
        self.length = int(self.np_random.integers(1, 6))
        return observation

    def picture(self):
        picture = self.np_random.integers(256, size=(1, SIZE, SIZE), dtype=np.uint8)
        picture[0, 0, 0] = self.t
        return picture


class MapRecorder:
    """Wraps a player; records episode starts, its own maps and the maps it acted on."""

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
    recorder = MapRecorder(player(policy, "frozen"))
    play_games(recorder, env, 12)
    episode_start = np.array(recorder.episode_start)
    assert np.array_equal(episode_start, np.array(recorder.steps) == 0)
    assert episode_start[0].all()
    assert not (
        episode_start[1:].all(axis=1) | ~episode_start[1:].any(axis=1)
    ).all()  # games end one by one
    first = recorder.own[0].clone()
    for episode_start, own, acted_on in zip(
        recorder.episode_start, recorder.own, recorder.acted_on, strict=True
    ):
        first[episode_start] = own[episode_start]
        torch.testing.assert_close(acted_on, first)


@pytest.mark.more
def test_a_single_game_passes_episode_start(space_invaders):
    protocol = space_invaders.protocol["legacy"].model_copy(update={"max_frames": 20})
    episode_starts = []

    class StartRecorder:
        name, map_names = "recorder", ()

        def act(self, observations, episode_start, lost_life=None):
            episode_starts.append(episode_start.tolist())
            return np.zeros(1, np.int64), None

    for seed in (1, 2):
        play_game(StartRecorder(), SingleEnv(space_invaders.game, protocol), seed, [])
    assert episode_starts == 2 * [[True], [False], [False], [False], [False]]


ALL = ["zero", "uniform", "inverted", "shuffled", "shifted", "time_average", "swap", "frozen"]


@pytest.mark.parametrize(
    ("agent", "given", "expected"),
    [
        ("ppo_abn_paper", [], []),
        ("ppo_abn_paper", ["zero"], ["zero"]),
        ("ppo_abn_paper", ["all"], ALL),
        ("ppo_abn_paper", ["zero", "zero:shared", "zero:each"], ["zero"]),
        ("ppo_mask", ["zero:each"], ["zero", "zero:policy", "zero:value"]),
        ("ppo_mask", ["uniform:value", "zero", "uniform:value"], ["uniform:value", "zero"]),
        ("ppo_mask", ["frozen:policy", "all:policy"], [
            "frozen:policy", *(f"{name}:policy" for name in ALL if name != "frozen"),
        ]),
    ],
)  # fmt: skip
def test_interventions_are_read_against_the_agents_maps(agent, given, expected):
    specs = read_interventions(given, agent, load_agent(agent))
    assert [spec.label for spec in specs] == expected


def test_all_of_each():
    assert len(read_interventions(["all:each"], "a2c_mask", load_agent("a2c_mask"))) == 3 * len(ALL)


def test_an_agent_without_maps_has_none_to_change():
    agent = load_agent("ppo_cnn")
    assert read_interventions([], "ppo_cnn", agent) == []
    with pytest.raises(
        RlAbnError,
        match=r"^expected an agent with attention maps, got 'ppo_cnn', which has none to change$",
    ):
        read_interventions(["zero"], "ppo_cnn", agent)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """An untrained mask agent whose games are cut off early, to be copied."""
    settings = ["protocol.legacy.max_frames=400"]
    recipe = make_run_recipe("space_invaders", "ppo_mask", 0, settings)
    run = Run.create(tmp_path_factory.mktemp("untrained") / "run", recipe, "cpu")
    torch.manual_seed(0)
    weights = make_policy(recipe).state_dict()
    weights["action_net.weight"] *= 300  # an untrained policy is even, whatever it sees
    run.save_checkpoint(64, weights, {"nothing": torch.zeros(1)}, {})
    return run


@pytest.fixture
def run(untrained, tmp_path):
    return Run.open(shutil.copytree(untrained.path, tmp_path / "run"))


class CountingReport:
    def __init__(self):
        self.done, self.players = [], []

    def update(self, done, **numbers):
        self.done.append(done)
        self.players.append(numbers["player"])


@pytest.mark.more
def test_the_intact_agent_plays_as_it_would_alone_and_others_play_beside_it(run):
    interventions = [InterventionSpec("zero"), InterventionSpec("frozen", "policy")]
    report = CountingReport()
    result = evaluate_run(
        run, n_games=2, interventions=interventions, with_random=True, report=report
    )
    assert result.intact.games == evaluate_run(run, n_games=2).intact.games
    names = ["ppo_mask", "zero", "frozen:policy", "random"]
    assert [e.player for e in result.evaluations] == names
    assert [e.player for e in result.intervened] == names[1:3]
    assert result.random is result.evaluations[-1]
    assert [e.intervened_maps for e in result.intervened] == [("policy", "value"), ("policy",)]
    assert result.intervened[0].games != result.intact.games
    for evaluation in result.evaluations[1:]:
        expected = evaluation.mean.value - result.intact.mean.value
        assert evaluation.difference.value == pytest.approx(expected)
    assert report.done == list(range(1, 9))
    assert report.players == [name for name in names for _ in range(2)]


@pytest.mark.more
def test_an_intervention_on_the_value_map_leaves_the_games_the_same(run):
    interventions = [InterventionSpec("zero", "value"), InterventionSpec("shuffled", "value")]
    result = evaluate_run(run, n_games=2, interventions=interventions)
    for evaluation in result.intervened:
        assert evaluation.games == result.intact.games
        assert evaluation.difference.value == 0
        assert not evaluation.difference.excludes_zero


def test_without_a_random_player_there_is_no_random_evaluation(run):
    result = evaluate_run(run, n_games=1, interventions=[InterventionSpec("zero")], max_steps=3)
    assert result.random is None
    assert result.beats_random is None
    assert evaluate_run(run, n_games=1, max_steps=3).random is None


@pytest.mark.more
def test_an_evaluation_with_interventions_is_plain_json(run):
    result = evaluate_run(
        run, n_games=2, interventions=[InterventionSpec("uniform", "value")], max_steps=3
    )
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    intact, intervened = data["evaluations"]
    assert (intact["intervention"], intact["intervened_maps"], intact["difference"]) == (
        None,
        [],
        None,
    )
    assert intervened["intervention"] == "uniform"
    assert intervened["intervened_maps"] == ["value"]
    assert intervened["changed_maps"] == ["value"]  # the older name
    assert intervened["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "share": None}
    assert (data["max_steps"], intervened["max_frames"]) == (3, 12)


def test_no_saved_file_replaces_another(run):
    alone = evaluate_run(run, n_games=1, max_steps=2)

    def save(*specs):
        beside = [alone.intact._replace(player=s.label, intervention=s.intervention) for s in specs]
        result = alone._replace(evaluations=[alone.intact, *beside])
        return result.save(run), result._replace(max_steps=None).save(run)

    zero, frozen = InterventionSpec("zero"), InterventionSpec("frozen", "policy")
    everything = read_interventions(["all:each"], "ppo_mask", run.recipe.agent)
    saved = [*save(), *save(zero), *save(frozen), *save(zero, frozen), *save(*everything)]
    assert len(set(saved)) == 10
    assert save(frozen, zero) == save(zero, frozen)
    assert max(len(path.name) for path in saved) < 100
    assert saved[1].name == "step-64-legacy-stochastic-1-games-0.json"
    assert re.fullmatch(
        r"step-64-legacy-stochastic-1-games-0-cut-at-2-interventions-\w{8}\.json", saved[2].name
    )
