"""Agents whose LSTM asks where to look: soft attention, and hard attention that draws a place."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_abn.attention import Intervention
from rl_abn.rl import AttentionPolicy
from rl_abn.rl.algorithms.losses import GlimpseLoss
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies import distributions
from tests.covering import covering
from tests.rl.algorithms.test_algorithms import FirstMinibatch
from tests.rl.conftest import SIZE, PatchSignal, make_algorithm, make_probe
from tests.rl.policies.test_memory import Noise, make_policy

MECHANISMS = ["soft", "hard"]
OBS = torch.randint(
    0, 256, (6, 1, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def make(name, mechanism, env, **kwargs):
    policy_kwargs = {"mechanism": mechanism, "memory": "lstm", "memory_size": 32}
    return make_algorithm(name, env, policy_kwargs=policy_kwargs, **kwargs)


def collect(model):
    model._setup_learn(10_000)
    model.collect_rollouts(
        model.env, model._init_callback(None), model.rollout_buffer, model.n_steps
    )
    return model.rollout_buffer


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_one_map_that_sums_to_1_and_no_answer_of_a_branch(mechanism):
    attention, state = make_policy("lstm", mechanism=mechanism).attend(OBS)
    assert attention.map.shape == (6, 1, 6, 6)
    torch.testing.assert_close(attention.map.sum(dim=(1, 2, 3)), torch.ones(6))
    assert attention.branch_logits is None
    assert attention.evidence.shape == (6, 0, 6, 6)
    assert [part.shape for part in state] == [(6, 24)] * 2


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"memory": "none"}, "expected memory='lstm'"),
        ({"memory": "lstm", "maps": "split"}, "expected maps='shared'"),
    ],
)
def test_an_lstm_has_to_ask_and_there_is_one_map(kwargs, expected):
    pixels = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
    with pytest.raises(ValueError, match=expected):
        AttentionPolicy(
            pixels, spaces.Discrete(2), lambda _: 0.0, extractor="tiny", mechanism="soft", **kwargs
        )


@pytest.mark.parametrize(("mechanism", "n_parts"), covering(product(MECHANISMS, [1, 2])))
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(mechanism, n_parts):
    env = make_probe(Noise, 8 // n_parts)
    if n_parts == 2:
        env = PartitionedVecEnv([env, make_probe(Noise, 4)])
    model = make("ppo", mechanism, env, n_steps=32, batch_size=128, sequence_length=8)
    spy = FirstMinibatch(model)
    model.learn(3 * 256)
    assert len(spy.ratios) == {"soft": 1, "hard": 2}[mechanism] * 3
    for ratio in spy.ratios:
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)


def test_places_are_drawn_as_likely_as_the_agent_says():
    policy = make_policy("lstm", mechanism="hard")
    torch.nn.init.normal_(policy.gaze.glimpses.score.weight)
    many = OBS[:1].expand(20_000, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    attention, _ = policy.attend(
        many, glimpses=lambda logits: distributions.sample(logits, generator)
    )
    shares = torch.bincount(attention.glimpse, minlength=36) / len(many)
    torch.testing.assert_close(shares, attention.glimpse_logits[0].exp(), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_the_baseline_moves_a_tenth_of_the_way_to_the_mean_return(name):
    model = make(name, "hard", make_probe(Noise))
    buffer = collect(model)
    first = model.policy.place_baseline.item()
    assert first == pytest.approx(0.1 * buffer.returns.mean().item())
    collect(model)
    expected = 0.9 * first + 0.1 * buffer.returns.mean().item()
    assert model.policy.place_baseline.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_places_learn_by_reinforce(name):
    """The gradient at the logits is (R - b) (p - onehot) / B, and that of the entropy."""
    model = make(
        name,
        "hard",
        make_probe(Noise),
        ent_coef=0.0,
        vf_coef=0.0,
        auxiliary_losses=[GlimpseLoss(1.0, 0.3)],
    )
    samples = collect(model).samples()
    settings = (torch.tensor(0.2),) if name == "ppo" else ()
    samples = samples._replace(advantages=torch.zeros_like(samples.advantages))
    kept = []
    attend = model.policy.attend

    def spied(*args, **kwargs):
        attention, state = attend(*args, **kwargs)
        attention.glimpse_logits.retain_grad()
        kept.append(attention.glimpse_logits)
        return attention, state

    model.policy.attend = spied
    loss, terms = model.loss(samples, *settings)
    loss.backward()
    (logits,) = kept
    p = logits.detach().exp()
    onehot = torch.nn.functional.one_hot(samples.old.glimpse, 36)
    signal = samples.returns - model.policy.place_baseline
    entropy = -(p * p.log()).sum(dim=1, keepdim=True)
    expected = (signal[:, None] * (p - onehot) + 0.3 * p * (p.log() + entropy)) / len(p)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=1e-3)
    assert terms["glimpse_entropy_loss"].item() == pytest.approx(-entropy.mean().item(), rel=1e-5)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_player_looks_where_it_likes_or_where_it_is_made_to(mechanism):
    policy = make_policy("lstm", mechanism=mechanism)
    obs, episode_start = OBS.numpy(), np.ones(6, bool)
    greedy = AgentPlayer("agent", policy, greedy=True, seed=0)
    own, again = (greedy.act(obs, episode_start)[1].map for _ in range(2))
    assert torch.equal(own, again)
    drawn = AgentPlayer("agent", policy, greedy=False, seed=0).act(obs, episode_start)[1].map
    assert torch.equal(own, drawn) == (mechanism == "soft")
    changed = AgentPlayer(
        "agent", policy, greedy=True, seed=0, intervention=Intervention("uniform")
    )
    even = changed.act(obs, episode_start)[1].map
    torch.testing.assert_close(even, torch.full_like(even, 1 / 36))


def share_and_accuracy(model, n_games=128):
    """How much of its attention lies on the patch that counts, and how often it is right."""
    env = make_probe(PatchSignal, n_games)
    with torch.no_grad():
        attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
    maps = attention.map
    if attention.glimpse_logits is not None:
        maps = attention.glimpse_logits.exp().view_as(maps)
    share = np.mean([m[0][game.location] for m, game in zip(maps.numpy(), env.envs, strict=True)])
    right = attention.action_logits.argmax(-1).numpy() == [game.right for game in env.envs]
    return share, right.mean()


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        pytest.param(*case, marks=() if case == ("ppo", "soft") else pytest.mark.full)
        for case in product(["ppo", "a2c"], MECHANISMS)
    ],
)
def test_attention_moves_onto_the_rewarded_patch(name, mechanism):
    length = {"sequence_length": 4} if name == "ppo" else {}
    model = make(name, mechanism, make_probe(PatchSignal), **length)
    share, accuracy = share_and_accuracy(model)
    assert share == pytest.approx(1 / 36, abs=0.003)
    assert accuracy < 0.7
    model.learn({("ppo", "soft"): 4_096, ("a2c", "soft"): 8_192}.get((name, mechanism), 16_384))
    share, accuracy = share_and_accuracy(model)
    assert accuracy > 0.95
    assert share > 0.8
