"""Players act on packed weights, and what they compute is what acting in training computes."""

from itertools import product

import numpy as np
import pytest
import torch

from rl_abn.compute import packed_weights
from rl_abn.compute.packed_weights import can_pack
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.training.build import make_policy
from tests.covering import covering

CPU = torch.device("cpu")
N = 3


def make(agent, precision):
    torch.manual_seed(0)
    policy = make_policy(make_run_recipe("pong", agent, 0, [f"train.precision={precision}"]))
    policy.set_training_mode(False)
    return policy


def screens(policy, t):
    shape = (N, *policy.observation_space.shape)
    return np.random.default_rng(t).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def packings(monkeypatch):
    """Which layers were packed."""
    layers = []
    for name in ("_convolution", "_linear"):
        pack = getattr(packed_weights, name)

        def noted(layer, inputs, then, pack=pack):
            layers.append(layer)
            return pack(layer, inputs, then)

        monkeypatch.setattr(packed_weights, name, noted)
    return layers


def play(player, policy, n_steps=4):
    start = np.ones(N, dtype=bool)
    thoughts = []
    for t in range(n_steps):
        thoughts.append(player.act(screens(policy, t), start & (t == 0)))
    return thoughts


def acted_as_in_training(policy, n_steps=4):
    state = None
    thoughts = []
    with policy.compute.acting(CPU, N, policy):
        for t in range(n_steps):
            thought, state = policy.attend(torch.from_numpy(screens(policy, t)), state)
            thoughts.append(thought)
    return thoughts


@pytest.mark.skipif(not can_pack(), reason="wants a processor with bfloat16")
@pytest.mark.parametrize("agent", ["ppo_abn_paper", "ppo_mask_convlstm", "ppo_soft"])
def test_weights_are_packed_once_for_whole_games(agent, packings):
    policy = make(agent, "bf16")
    play(AgentPlayer("agent", policy, greedy=True, seed=0), policy)
    assert packings
    assert len(packings) == len(set(packings))


PLAYERS = [
    "ppo_cnn", "ppo_abn_paper", "ppo_mask_convlstm", "ppo_soft", "ppo_causal", "ppo_transformer"
]  # fmt: skip


@pytest.mark.parametrize(("agent", "precision"), covering(product(PLAYERS, ["fp32", "bf16"])))
def test_a_player_computes_the_bits_of_acting_in_training(agent, precision):
    policy = make(agent, precision)
    played = play(AgentPlayer("agent", policy, greedy=True, seed=0), policy)
    for (_, mine), theirs in zip(played, acted_as_in_training(policy), strict=True):
        assert torch.equal(mine.action_logits, theirs.action_logits)
        assert torch.equal(mine.value, theirs.value)
        assert torch.equal(mine.map, theirs.map)


@pytest.mark.skipif(not can_pack(), reason="wants a processor with bfloat16")
def test_fp32_packs_nothing(packings):
    policy = make("ppo_abn_paper", "fp32")
    play(AgentPlayer("agent", policy, greedy=False, seed=0), policy)
    assert not packings


def test_a_player_whose_policy_gets_other_weights_acts_on_those():
    policy = make("ppo_abn_paper", "bf16")
    player = AgentPlayer("agent", policy, greedy=True, seed=0)
    play(player, policy)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.5)
    played = play(player, policy)
    fresh = play(AgentPlayer("agent", policy, greedy=True, seed=0), policy)
    for (_, mine), (_, theirs) in zip(played, fresh, strict=True):
        assert torch.equal(mine.action_logits, theirs.action_logits)


def test_nothing_stays_between_two_acts():
    policy = make("ppo_abn_paper", "bf16")
    player = AgentPlayer("agent", policy, greedy=True, seed=0)
    before = (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_num_threads())
    play(player, policy)
    assert before == (
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
    )
    assert not any("forward" in vars(module) for module in policy.modules())
