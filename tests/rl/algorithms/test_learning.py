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

ALGORITHMS = pytest.mark.parametrize("name", ["ppo", "a2c"])


def look(model, picture):
    with torch.no_grad():
        return model.policy.attend(torch.as_tensor(picture)[None])[0]


def shade(value):
    return np.full((1, SIZE, SIZE), value, np.uint8)


@ALGORITHMS
def test_value_of_a_constant_reward(name):
    model = make_algorithm(name, make_probe(ConstantReward)).learn(8192)
    assert look(model, shade(100)).value.item() == pytest.approx(1.0, abs=0.02)


@ALGORITHMS
def test_a_reward_one_step_later_is_worth_gamma(name):
    model = make_algorithm(name, make_probe(DelayedReward), gamma=0.5).learn(16384)
    assert look(model, shade(50)).value.item() == pytest.approx(0.5, abs=0.05)
    assert look(model, shade(200)).value.item() == pytest.approx(1.0, abs=0.05)


@ALGORITHMS
def test_the_action_depends_on_the_observation(name):
    """And a distilled branch says so too."""
    n_steps = 24_576 if name == "a2c" else 8192
    losses = [BranchDistillation()]
    model = make_algorithm(name, make_probe(Signal), auxiliary_losses=losses).learn(n_steps)
    for right, picture in enumerate(STRIPES):
        attention = look(model, picture)
        assert attention.action_logits.softmax(-1)[0, right] > 0.95
        assert attention.branch_logits.softmax(-1)[0, right] > 0.9
        assert attention.value.item() == pytest.approx(1.0, abs=0.1)


@ALGORITHMS
@pytest.mark.parametrize("mechanism", ["residual", "mask"])
def test_the_maps_mass_moves_onto_what_the_reward_depends_on(name, mechanism):
    model = make_algorithm(name, make_probe(PatchSignal), policy_kwargs={"mechanism": mechanism})

    def share_and_accuracy():
        env = make_probe(PatchSignal, 128)
        with torch.no_grad():
            attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
        share = [
            float(m[game.location] / m.sum())
            for m, game in zip(attention.map[:, 0], env.envs, strict=True)
        ]
        right = attention.action_logits.argmax(-1).numpy() == [game.right for game in env.envs]
        return np.mean(share), np.mean(right)

    share, accuracy = share_and_accuracy()
    assert share == pytest.approx(1 / 36, abs=0.003)
    assert accuracy < 0.7
    model.learn(32768 if name == "a2c" else 16384)
    share, accuracy = share_and_accuracy()
    assert accuracy > 0.95
    assert share > 1.5 / 36
