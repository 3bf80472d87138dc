"""Games that a mechanism's agent solves and its baseline does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rl_abn.attention import MECHANISMS
from tests.rl.conftest import BesideSignal, make_algorithm, make_probe
from tests.rl.policies.test_memory import Cue, mean_reward_by_heart

pytestmark = pytest.mark.full
OPTIONS = {
    "augmented_convolution": {"attention_channels": 8, "heads": 2},
    "transformer": {"positions": "near"},
}
REMEMBERING = [name for name in MECHANISMS if MECHANISMS[name].abilities.remembers]


def learn(game: type, mechanism: str, total: int, **settings: Any) -> Any:
    kwargs = {"mechanism": mechanism, "mechanism_options": OPTIONS.get(mechanism, {})}
    model = make_algorithm("ppo", make_probe(game), policy_kwargs=kwargs, **settings)
    return model.learn(total)


def accuracy_beside(mechanism: str) -> float:
    """How often the agent finds the shade beside a marker that moves."""
    model = learn(BesideSignal, mechanism, 16_384)
    env = make_probe(BesideSignal, 256)
    with torch.no_grad():
        attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
    right = attention.action_logits.argmax(dim=1).numpy() == [game.right for game in env.envs]
    return float(np.mean(right))


@pytest.mark.parametrize(
    "mechanism", ["highway", "hourglass", "augmented_convolution", "transformer"]
)
def test_what_reaches_beyond_a_location_finds_what_lies_beside_a_moving_marker(
    mechanism: str,
) -> None:
    assert accuracy_beside(mechanism) > 0.9


def test_its_baseline_does_not() -> None:
    assert accuracy_beside("more_layers") < 0.8


@pytest.mark.parametrize("mechanism", REMEMBERING)
def test_what_looks_back_solves_the_cue(mechanism: str) -> None:
    """Without a memory an agent can only guess: test_memory.py."""
    total = 8_000 if mechanism == "memory_network" else 4_000
    model = learn(Cue, mechanism, total, n_steps=24, batch_size=48, sequence_length=12)
    assert mean_reward_by_heart(model) > 0.95
