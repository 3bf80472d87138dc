"""Probe games with numeric answers, learnt by each algorithm."""

import numpy as np
import pytest
import torch

from rl_abn.rl.algorithms.losses import BranchDistillation
from tests.rl.conftest import (
    SIZE,
    STRIPES,
    ConstantReward,
    DelayedReward,
    PatchSignal,
    Signal,
    make_algorithm,
    make_probe,
)

# One algorithm learns each game in the quick set; the other does with --all.
PPO_FIRST = pytest.mark.parametrize("name", ["ppo", pytest.param("a2c", marks=pytest.mark.full)])


def look(model, picture):
    with torch.no_grad():
        return model.policy.attend(torch.as_tensor(picture)[None])[0]


def shade(value):
    return np.full((1, SIZE, SIZE), value, np.uint8)


@PPO_FIRST
def test_value_of_a_constant_reward(name):
    model = make_algorithm(name, make_probe(ConstantReward)).learn(2048 if name == "ppo" else 8192)
    assert look(model, shade(100)).value.item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.more
@PPO_FIRST
def test_a_reward_one_step_later_is_worth_gamma(name):
    model = make_algorithm(name, make_probe(DelayedReward), gamma=0.5)
    model.learn(4096 if name == "ppo" else 16384)
    assert look(model, shade(50)).value.item() == pytest.approx(0.5, abs=0.05)
    assert look(model, shade(200)).value.item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.more
@PPO_FIRST
def test_the_action_depends_on_the_observation(name):
    """And a distilled branch says so too."""
    n_steps = 24_576 if name == "a2c" else 6144
    losses = [BranchDistillation()]
    model = make_algorithm(name, make_probe(Signal), auxiliary_losses=losses).learn(n_steps)
    for right, picture in enumerate(STRIPES):
        attention = look(model, picture)
        assert attention.action_logits.softmax(-1)[0, right] > 0.95
        assert attention.branch_logits.softmax(-1)[0, right] > 0.9
        assert attention.value.item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "mechanism", "n_steps"),
    [
        ("ppo", "residual", 8192),
        pytest.param("ppo", "mask", 16384, marks=pytest.mark.full),
        pytest.param("a2c", "residual", 16384, marks=pytest.mark.full),
        pytest.param("a2c", "mask", 16384, marks=pytest.mark.full),
    ],
)
def test_the_map_shows_what_the_reward_depends_on(name, mechanism, n_steps):
    model = make_algorithm(name, make_probe(PatchSignal), policy_kwargs={"mechanism": mechanism})

    def played():
        """Map value at the place that counts, mean value elsewhere, how often it has the highest
        value of all 36, and how often the agent is right."""
        env = make_probe(PatchSignal, 128)
        with torch.no_grad():
            attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
        maps = attention.map[:, 0].numpy()
        there = np.array([m[game.location] for m, game in zip(maps, env.envs, strict=True)])
        elsewhere = (maps.sum(axis=(1, 2)) - there) / 35
        highest = there == maps.max(axis=(1, 2))
        right = attention.action_logits.argmax(-1).numpy() == [game.right for game in env.envs]
        return there.mean(), elsewhere.mean(), highest.mean(), right.mean()

    there, elsewhere, highest, accuracy = played()
    assert there == pytest.approx(elsewhere, abs=0.02)
    assert highest < 0.1
    assert accuracy < 0.7
    model.learn(n_steps)
    there, elsewhere, highest, accuracy = played()
    assert accuracy > 0.95
    assert there > elsewhere + 0.1
    assert highest > 0.3  # 1/36 by chance
