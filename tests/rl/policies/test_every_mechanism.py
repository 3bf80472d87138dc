"""Every mechanism in an agent: acts as it learns, and can be made to look elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_abn.attention import MECHANISMS
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from tests.complaints import complaint
from tests.rl.algorithms.test_algorithms import FirstMinibatch
from tests.rl.conftest import SIZE, make_algorithm, make_probe
from tests.rl.policies.test_memory import Noise, make_policy

NAMES = [name for name in MECHANISMS if not MECHANISMS[name].abilities.queries]
WITH_MAPS = [name for name in NAMES if MECHANISMS[name].abilities.maps]
OBS = torch.randint(
    0, 256, (6, 1, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def stir(policy: AttentionPolicy) -> None:
    """Makes what the mechanism does visible: some start with a last layer of zeros."""
    for parameter in policy.mechanism.parameters():
        torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("mechanism", NAMES)
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(mechanism: str) -> None:
    model = make_algorithm(
        "ppo", make_probe(Noise), policy_kwargs={"mechanism": mechanism}, n_steps=16, batch_size=64
    )
    stir(model.policy)
    spy = FirstMinibatch(model)
    model.learn(2 * 128)
    assert len(spy.ratios) >= 2
    for ratio in spy.ratios:
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mechanism", WITH_MAPS)
def test_an_agent_acts_on_the_maps_it_is_given(mechanism: str) -> None:
    policy = make_policy("none", mechanism=mechanism)
    stir(policy)
    own, _ = policy.attend(OBS)
    assert own.map.dtype == torch.float32
    assert own.map.shape[:2] == (6, 1)
    same, _ = policy.attend(OBS, map_override=own.map)
    torch.testing.assert_close(same.action_logits, own.action_logits)
    other, _ = policy.attend(OBS, map_override=torch.zeros_like)
    assert not torch.allclose(other.action_logits, own.action_logits)
    assert torch.equal(other.map, torch.zeros_like(own.map))


@pytest.mark.parametrize("mechanism", [n for n in WITH_MAPS if MECHANISMS[n].abilities.splits])
def test_actor_and_critic_can_have_a_map_each(mechanism: str) -> None:
    policy = make_policy("none", mechanism=mechanism, maps="split")
    stir(policy)
    own, _ = policy.attend(OBS)
    assert own.map.shape[1] == 2

    def without_the_first(maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(maps[:, :1]), maps[:, 1:]], dim=1)

    other, _ = policy.attend(OBS, map_override=without_the_first)
    assert not torch.allclose(other.action_logits, own.action_logits)
    torch.testing.assert_close(other.value, own.value)


def test_a_mechanism_of_all_channels_needs_them_where_it_gates() -> None:
    pixels = spaces.Box(0, 255, (1, 80, 80), np.uint8)
    with pytest.raises(ValueError, match=r"gates any number of channels .* got 'se'; .* 'mask'"):
        AttentionPolicy(
            pixels, spaces.Discrete(2), lambda _: 0.0, extractor="mask_a3c", mechanism="se"
        )
    settings = ["attention.mechanism=se", "attention.maps=shared"]
    message = complaint(lambda: make_run_recipe("pong", "a2c_mask_a3c", 0, settings))
    assert "got 'se'; the nearest is 'mask'" in message


@pytest.mark.parametrize(
    ("agent", "setting", "expected"),
    [
        ("ppo_transformer", "attention.heads=3", "heads that divide 64 channels, got 3"),
        ("ppo_aaconv", "attention.attention_channels=68", "attention_channels of 1 to 64, got 68"),
    ],
)
def test_options_are_checked_for_the_agents_own_network(
    agent: str, setting: str, expected: str
) -> None:
    message = complaint(lambda: make_run_recipe("pong", agent, 0, [setting]))
    assert f"expected {expected}" in message
    assert make_run_recipe("pong", "ppo_aaconv", 0, ["attention.attention_channels=64"])
