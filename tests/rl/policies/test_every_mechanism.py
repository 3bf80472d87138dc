"""Every mechanism in an agent: acts as it learns, and can be made to look elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_abn.attention import MECHANISMS
from rl_abn.networks import forget
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyState
from tests.complaints import complaint
from tests.rl.algorithms.test_algorithms import FirstMinibatch
from tests.rl.conftest import SIZE, make_algorithm, make_probe
from tests.rl.policies.test_memory import Noise, make_policy

ABILITIES = {name: MECHANISMS[name].abilities for name in MECHANISMS}
NAMES = [name for name, a in ABILITIES.items() if not (a.queries or a.pictures_only)]
WITH_MAPS = [name for name in NAMES if MECHANISMS[name].abilities.maps]
REMEMBERING = [name for name in NAMES if MECHANISMS[name].abilities.remembers]
OBS = torch.randint(
    0, 256, (6, 1, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def stir(policy: AttentionPolicy) -> None:
    """Makes what the mechanism does visible: some start with a last layer of zeros."""
    for parameter in policy.mechanism.parameters():
        n_inputs = parameter[0].numel() if parameter.ndim > 1 else 9
        torch.nn.init.normal_(parameter, std=n_inputs**-0.5)


@pytest.mark.parametrize("mechanism", NAMES)
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(mechanism: str) -> None:
    length = {"sequence_length": 8} if MECHANISMS[mechanism].abilities.remembers else {}
    kwargs = {"mechanism": mechanism}
    model = make_algorithm(
        "ppo", make_probe(Noise), policy_kwargs=kwargs, n_steps=16, batch_size=64, **length
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
    _, state = policy.attend(OBS.flip(3))
    own, _ = policy.attend(OBS, state)
    assert own.map.dtype == torch.float32
    assert own.map.shape[:2] == (6, 1)
    same, _ = policy.attend(OBS, state, map_override=own.map)
    torch.testing.assert_close(same.action_logits, own.action_logits)
    other, _ = policy.attend(OBS, state, map_override=torch.zeros_like)
    assert not torch.allclose(other.action_logits, own.action_logits)
    assert torch.equal(other.map, torch.zeros_like(own.map))


@pytest.mark.parametrize("mechanism", REMEMBERING)
def test_a_sequence_is_the_same_as_its_steps_and_forgets_where_it_has_to(mechanism: str) -> None:
    policy = make_policy("none", mechanism=mechanism)
    stir(policy)
    n_steps, n = 6, 3
    obs = torch.cat([OBS.roll(t, dims=3) for t in range(3)])
    reset_mask = torch.zeros(n_steps, n, dtype=torch.bool)
    reset_mask[3, 1] = True
    whole, last = policy.attend(obs, policy.initial_state(n), reset_mask=reset_mask)
    state: PolicyState = None
    for t in range(n_steps):
        if state is not None:
            state = forget(state, reset_mask[t])
        step, state = policy.attend(obs.unflatten(0, (n_steps, n))[t], state)
        for name in ("action_logits", "value", "map"):
            rows = getattr(whole, name).unflatten(0, (n_steps, n))[t]
            torch.testing.assert_close(rows, getattr(step, name), atol=1e-5, rtol=1e-5)
        seen = step.map.unflatten(2, (-1, 16)).sum(dim=(1, 2, 4)) > 0  # some share of each step
        assert seen.sum(dim=1).tolist() == [t + 1, t + 1 if t < 3 else t - 2, t + 1]
    assert state is not None
    assert last is not None
    for one, other in zip(last, state, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_memory_of_earlier_steps_goes_with_an_lstms() -> None:
    policy = make_policy("lstm", mechanism="causal")
    stir(policy)
    assert [part.ndim for part in policy.initial_state(2)] == [3, 2, 2, 2]
    _, state = policy.attend(OBS.flip(3))
    remembering, _ = policy.attend(OBS, state)
    for i in (0, 2):  # without one or the other it is another answer
        without = tuple(torch.zeros_like(p) if i <= j < i + 2 else p for j, p in enumerate(state))
        other, _ = policy.attend(OBS, without)
        assert not torch.allclose(other.action_logits, remembering.action_logits)


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


def test_glimpses_at_single_pictures_are_none_for_agents() -> None:
    settings = ["attention.mechanism=soft_glimpses", "algorithm.branch_loss=none"]
    message = complaint(lambda: make_run_recipe("pong", "ppo_cnn", 0, settings))
    assert "got 'soft_glimpses', which is for single pictures" in message
    with pytest.raises(ValueError, match="expected a mechanism for agents, got 'hard_glimpses'"):
        make_policy("none", mechanism="hard_glimpses")
