"""Agents with memory: what they remember goes the whole way, through rollouts and updates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from rl_abn.rl import AleVecEnv, AttentionPolicy
from rl_abn.rl.algorithms.collector import Collector
from rl_abn.rl.algorithms.reward_scale import RewardScale
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.training.distributed import Ranks
from tests.covering import covering
from tests.rl.algorithms.test_algorithms import FirstMinibatch
from tests.rl.conftest import SIZE, STRIPES, ProbeGame, make_algorithm, make_probe

MEMORIES = ["convlstm", "lstm"]


class Cue(ProbeGame):
    """The first screen shows which action is right at the last; those between show nothing."""

    length = 6

    def picture(self):
        if self.t == 0:
            self.right = int(self.np_random.integers(2))
            return STRIPES[self.right]
        return np.full((1, SIZE, SIZE), 100, np.uint8)

    def reward(self, action):
        if self.t < self.length - 1:
            return 0.0
        return 1.0 if action == self.right else -1.0


class Noise(ProbeGame):
    """Random screens, and games that end at odd times."""

    def picture(self):
        self.length = 1 if self.np_random.random() < 0.2 else 1000
        return self.np_random.integers(0, 256, (1, SIZE, SIZE)).astype(np.uint8)


def make_policy(memory, **kwargs):
    torch.manual_seed(0)
    policy = AttentionPolicy(
        spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8),
        spaces.Discrete(2),
        lambda _: 0.0,
        extractor="tiny",
        memory=memory,
        memory_size=24,
        **kwargs,
    )
    for module in (policy.action_net, policy.value_net):  # answers that differ visibly
        torch.nn.init.normal_(module.weight)
    return policy


@pytest.mark.parametrize("kwargs", [{}, {"mechanism": "mask", "maps": "split"}])
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_sequence_is_the_same_as_its_steps(memory, kwargs):
    policy = make_policy(memory, **kwargs)
    n_steps, n = 7, 3
    obs = torch.randint(0, 256, (n_steps, n, 1, SIZE, SIZE), dtype=torch.uint8)
    reset_mask = torch.rand(n_steps, n) < 0.2
    assert reset_mask[1:].any()
    whole, last = policy.attend(obs.flatten(0, 1), policy.initial_state(n), reset_mask=reset_mask)
    state = policy.initial_state(n)
    for t in range(n_steps):
        for game in reset_mask[t].nonzero().flatten():
            for part, empty in zip(state, policy.initial_state(1), strict=True):
                part[game] = empty[0]
        step, state = policy.attend(obs[t], state)
        for name in ("action_logits", "value", "map"):
            rows = getattr(whole, name).unflatten(0, (n_steps, n))[t]
            torch.testing.assert_close(rows, getattr(step, name), atol=1e-5, rtol=0)
    for one, other in zip(last, state, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory", MEMORIES)
def test_what_was_seen_before_matters_until_it_is_forgotten(memory):
    policy = make_policy(memory)
    first, second = torch.randint(0, 256, (2, 1, 1, SIZE, SIZE), dtype=torch.uint8)
    _, state = policy.attend(first)
    fresh, remembering = policy.attend(second)[0], policy.attend(second, state)[0]
    assert not torch.allclose(fresh.value, remembering.value)
    assert torch.equal(fresh.value, policy.attend(second, policy.initial_state(1))[0].value)
    # the map is made of what a convlstm remembers; an lstm comes after it
    assert torch.equal(fresh.map, remembering.map) == (memory == "lstm")


@pytest.mark.parametrize(
    ("memory", "n_parts"), covering(product(MEMORIES, [1, 2]), lambda case: case[0] == "convlstm")
)
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(memory, n_parts):
    env = make_probe(Noise, 8 // n_parts)
    if n_parts == 2:
        env = PartitionedVecEnv([env, make_probe(Noise, 4)])
    model = make_algorithm(
        "ppo", env, policy_kwargs={"memory": memory}, n_steps=32, batch_size=128, sequence_length=8
    )
    spy = FirstMinibatch(model)
    model.learn(3 * 256)
    assert model.rollout_buffer.reset_mask.any()
    assert len(spy.ratios) == 2 * 3
    for ratio in spy.ratios:
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)


def test_minibatches_are_whole_sequences_and_hold_every_step_once():
    n_steps, n_envs, length = 6, 4, 3
    pixels = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
    buffer = AttentionRolloutBuffer(
        n_steps, pixels, spaces.Discrete(2), "cpu", n_envs=n_envs, sequence_length=length
    )
    batches = list(buffer.shuffled(6))
    assert sorted(torch.cat(batches).tolist()) == list(range(n_steps * n_envs))
    for batch in batches:
        steps = batch.view(length, -1)
        t, game = steps // n_envs, steps % n_envs
        assert torch.equal(t, t[:1] + torch.arange(length)[:, None])
        assert (t[0] % length == 0).all()
        assert torch.equal(game, game[:1].expand_as(game))
        shares = buffer.split(batch, 2)
        assert torch.equal(torch.cat([batch[s].view(length, -1) for s in shares], dim=1), steps)


def test_the_buffer_hands_out_what_was_remembered_before_each_sequence():
    pixels = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
    buffer = AttentionRolloutBuffer(
        4, pixels, spaces.Discrete(2), "cpu", n_envs=3, sequence_length=2
    )
    buffer.hold_states((torch.zeros(1, 5),))
    for t in range(4):
        for games in (slice(0, 2), slice(2, 3)):
            number = 10.0 * t + torch.arange(games.start, games.stop)
            state = (number[:, None].expand(-1, 5),)
            buffer.remember(t, games, state, np.array([t == 1] * (games.stop - games.start)))
        step = {name: torch.zeros(3) for name in ("value", "actions")}
        step["actions"] = step["actions"].long()
        buffer.record(slice(0, 3), {**step, "action_logits": torch.zeros(3, 2)})
    buffer.write_recorded()
    samples = buffer.samples(torch.tensor([8, 0, 11, 3]))  # of game 2 from t = 2, of game 0
    assert samples.state[0][:, 0].tolist() == [22.0, 0.0]
    assert samples.reset_mask.tolist() == [[False, False], [False, True]]
    _, state = buffer.spread_observations(100)
    assert state[0][:, 0].tolist() == [0.0, 1.0, 2.0, 20.0, 21.0, 22.0]


def test_sequences_have_to_divide_the_rollout():
    with pytest.raises(ValueError, match="divides n_steps = 32, got 5"):
        make_algorithm("ppo", make_probe(ProbeGame), sequence_length=5)


def test_minibatches_have_to_be_whole_sequences():
    """Said when the algorithm is made, and not after the first rollout."""
    for length, said in (({}, 128), ({"sequence_length": 24}, 24)):
        with pytest.raises(ValueError, match=f"a multiple of sequence_length = {said} .* got 64"):
            make_algorithm(
                "ppo",
                make_probe(ProbeGame),
                policy_kwargs={"memory": "lstm"},
                n_steps=128 if not length else 48,
                batch_size=64,
                **length,
            )


def test_a_mechanism_that_looks_back_learns_from_whole_rollouts_too():
    """As an agent with another memory: what it looks back at is in its options."""
    model = make_algorithm("ppo", make_probe(ProbeGame), policy_kwargs={"mechanism": "causal"})
    assert model.sequence_length == model.n_steps == 32


class OneStep:
    """A vector environment whose one step is given."""

    num_envs = 2

    def __init__(self, dones, infos):
        self.outcome = np.zeros((2, 1, SIZE, SIZE), np.uint8), np.zeros(2), dones, infos

    def step_async(self, actions):
        pass

    def step_wait(self):
        return self.outcome


def collector_of(model, dones, infos):
    """A collector whose games end as given at the one step of a rollout, and its buffer."""
    collector = Collector(
        OneStep(np.array(dones), infos),
        model.policy,
        model.act,
        ranks=Ranks(),
        gamma=0.9,
        reward_scale=RewardScale("none", 0.9, None, Ranks()),
    )
    collector.start(np.ones((2, 1, SIZE, SIZE), np.uint8))
    pixels = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
    buffer = AttentionRolloutBuffer(1, pixels, spaces.Discrete(2), "cpu", n_envs=2)
    buffer.hold_states(model.policy.initial_state(1))
    return collector, buffer


@pytest.mark.parametrize(
    ("forget_at", "expected"), [("game", [False, True]), ("life", [True, True])]
)
def test_memory_is_emptied_at_lost_lives_where_it_is_set_to(forget_at, expected):
    kwargs = {"memory": "lstm", "forget_at": forget_at}
    model = make_algorithm("ppo", make_probe(ProbeGame, 2), policy_kwargs=kwargs)
    collector, buffer = collector_of(model, [True, True], [{"lost_life": True}, {}])
    collector.collect(buffer, lambda rewards, dones, infos: True)
    emptied = ~collector._states[0][0].any(dim=1)
    assert emptied.tolist() == expected


def test_a_truncated_game_is_bootstrapped_with_the_memory_before_it_is_emptied():
    model = make_algorithm("ppo", make_probe(Noise, 2), policy_kwargs={"memory": "lstm"})
    torch.nn.init.normal_(model.policy.value_net.weight)
    final = np.full((1, SIZE, SIZE), 7, np.uint8)
    infos = [{}, {"TimeLimit.truncated": True, "terminal_observation": final}]
    collector, buffer = collector_of(model, [False, True], infos)
    collector.collect(buffer, lambda rewards, dones, infos: True)
    with torch.no_grad():
        first = torch.ones(2, 1, SIZE, SIZE, dtype=torch.uint8)
        _, memory = model.policy.attend(first, model.policy.initial_state(2))
        own = tuple(part[1:] for part in memory)
        value = model.policy.attend(torch.as_tensor(final[None]), own)[0].value.item()
        without = model.policy.attend(torch.as_tensor(final[None]))[0].value.item()
    assert buffer.rewards[0].tolist() == [0.0, pytest.approx(0.9 * value)]
    assert abs(value - without) > 1e-4


@pytest.mark.more
def test_ale_says_which_ends_are_lost_lives(space_invaders):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["legacy"], 2, seed=0)
    env.reset()
    rng, lost, games = np.random.default_rng(0), 0, 0
    for _ in range(1500):
        _, _, dones, infos = env.step(rng.integers(6, size=2))
        for done, info in zip(dones, infos, strict=True):
            assert done == ("lost_life" in info or "episode" in info)
            assert not ("lost_life" in info and "episode" in info)
            lost, games = lost + ("lost_life" in info), games + ("episode" in info)
    assert games >= 2
    assert 2 * games <= lost <= 2 * (games + 2)  # three lives a game


def test_learning_once_more_begins_with_nothing_remembered():
    model = make_algorithm("a2c", make_probe(Noise), policy_kwargs={"memory": "lstm"})
    model.learn(64)
    assert any(part.any() for part in model._collector._states[0])
    model.learn(64, reset_num_timesteps=False)
    assert model.rollout_buffer.states[0][0].any()
    model.learn(64)
    assert not model.rollout_buffer.states[0][0].any()


@pytest.mark.parametrize("forget_at", ["game", "life"])
def test_a_player_remembers_until_a_game_begins_or_a_life_is_lost(forget_at):
    policy = make_policy("lstm", forget_at=forget_at)
    player = AgentPlayer("agent", policy, greedy=True, seed=0)
    obs = np.random.default_rng(0).integers(0, 256, (3, 1, SIZE, SIZE)).astype(np.uint8)
    no, yes = np.zeros(3, bool), np.ones(3, bool)
    _, first = player.act(obs, yes, no)
    _, second = player.act(obs, np.array([True, False, False]), np.array([False, True, False]))
    changed = (first.value - second.value).abs() > 1e-4
    assert changed.tolist() == [False, forget_at == "game", True]


@pytest.mark.parametrize("memory", MEMORIES)
def test_sb3s_predict_remembers(memory):
    model = make_algorithm("ppo", make_probe(ProbeGame, 2), policy_kwargs={"memory": memory})
    policy = model.policy
    torch.nn.init.normal_(policy.action_net.weight)
    obs = np.random.default_rng(0).integers(0, 256, (2, 1, SIZE, SIZE)).astype(np.uint8)
    _, state = model.predict(obs, deterministic=True)
    _, again = model.predict(obs, state, np.array([False, True]), deterministic=True)
    _, expected = policy.attend(torch.as_tensor(obs), tuple(map(torch.as_tensor, state)))
    torch.testing.assert_close(torch.as_tensor(again[0][0]), expected[0][0])
    np.testing.assert_allclose(again[0][1], state[0][1], atol=1e-6)  # as at the start
    action, _ = model.predict(obs[0], deterministic=True)
    assert action.shape == ()


def test_sb3s_own_algorithm_refuses_an_agent_with_memory():
    kwargs = {"extractor": "tiny", "memory": "lstm"}
    model = PPO(AttentionPolicy, make_probe(ProbeGame), n_steps=8, policy_kwargs=kwargs)
    with pytest.raises(NotImplementedError, match="AttentionPPO"):
        model.learn(8)


def mean_reward_by_heart(model, n_games=200):
    """Plays the cue game greedily: 1 is always right, 0 is chance."""
    env = make_probe(Cue, n_games)
    obs, state, total = env.reset(), model.policy.initial_state(n_games), 0.0
    for _ in range(Cue.length):
        with torch.no_grad():
            attention, state = model.policy.attend(torch.as_tensor(obs), state)
        obs, rewards, _, _ = env.step(attention.action_logits.argmax(dim=1).numpy())
        total += rewards.mean()
    return total


def learn_the_cue(name, memory, seed=0):
    kwargs = {"policy_kwargs": {"memory": memory, "memory_size": 32}, "seed": seed}
    if name == "ppo":
        length = {} if memory == "none" else {"sequence_length": 12}
        model = make_algorithm(
            "ppo", make_probe(Cue), n_steps=24, batch_size=48, **length, **kwargs
        )
        return model.learn(4_000)
    kwargs |= {"n_steps": 12, "learning_rate": 2e-3, "ent_coef": 0.03}
    return make_algorithm("a2c", make_probe(Cue, 16), **kwargs).learn(16_000)


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("ppo", "lstm"),
        pytest.param("ppo", "convlstm", marks=pytest.mark.full),
        pytest.param("a2c", "convlstm", marks=pytest.mark.full),
    ],
)
def test_an_agent_with_memory_solves_the_cue(name, memory):
    assert mean_reward_by_heart(learn_the_cue(name, memory)) > 0.95


@pytest.mark.more
@pytest.mark.parametrize("name", ["ppo", pytest.param("a2c", marks=pytest.mark.full)])
def test_an_agent_without_memory_can_only_guess_the_cue(name):
    assert abs(mean_reward_by_heart(learn_the_cue(name, "none"))) < 0.3
