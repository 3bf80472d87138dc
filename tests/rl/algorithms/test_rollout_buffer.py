import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_abn.rl.algorithms.advantages import gae
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.outputs import PolicyOutput

PIXELS = spaces.Box(0, 255, (2, 5, 6), np.uint8)


def column(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_gae_closed_form():
    """Constant reward r and value v without an end: A_t is a geometric sum of one error."""
    gamma, lam, r, v, steps = 0.9, 0.8, 1.0, 2.0, 6
    advantages = gae(
        rewards=torch.full((steps, 1), r),
        values=torch.full((steps + 1, 1), v),
        dones=torch.zeros(steps, 1),
        gamma=gamma,
        gae_lambda=lam,
    )
    delta = r + gamma * v - v
    for t in range(steps):
        left = steps - t
        expected = delta * (1 - (gamma * lam) ** left) / (1 - gamma * lam)
        assert math.isclose(advantages[t].item(), expected, rel_tol=1e-5)


def test_gae_lambda_1_is_the_discounted_return_less_the_value():
    rewards, values = column(1, 2, 3), column(0.5, -1, 2, 10)
    advantages = gae(
        rewards=rewards, values=values, dones=torch.zeros(3, 1), gamma=0.5, gae_lambda=1.0
    )
    returns = column(1 + 0.5 * 2 + 0.25 * 3 + 0.125 * 10, 2 + 0.5 * 3 + 0.25 * 10, 3 + 0.5 * 10)
    torch.testing.assert_close(advantages, returns - values[:-1])


def test_gae_lambda_0_is_the_one_step_error():
    rewards, values = column(1, 2), column(3, 5, 7)
    advantages = gae(
        rewards=rewards, values=values, dones=torch.zeros(2, 1), gamma=0.5, gae_lambda=0.0
    )
    torch.testing.assert_close(advantages, column(1 + 2.5 - 3, 2 + 3.5 - 5))


def test_gae_sees_nothing_past_an_end():
    kwargs = {"values": column(1, 1, 1, 100), "gamma": 0.99, "gae_lambda": 0.95}
    dones = column(0, 1, 0)
    first = gae(rewards=column(1, 1, 1), dones=dones, **kwargs)
    second = gae(rewards=column(1, 1, 50), dones=dones, **kwargs)
    torch.testing.assert_close(first[:2], second[:2])
    assert first[1].item() == pytest.approx(1 - 1)


def filled_buffer(steps=4, n_envs=3):
    buffer = AttentionRolloutBuffer(steps, PIXELS, spaces.Discrete(2), "cpu", 0.95, 0.99, n_envs)
    rng = np.random.default_rng(0)
    written = []
    for t in range(steps):
        obs = rng.integers(0, 256, (n_envs, 2, 5, 6)).astype(np.uint8)
        seen = buffer.observe(t, slice(0, n_envs), obs)
        assert np.array_equal(seen.numpy(), obs)
        logits = torch.randn(n_envs, 2)
        output = PolicyOutput(
            logits, torch.full((n_envs,), float(t)), *[torch.zeros(0)] * 2, -logits, logits[:, 0]
        )
        actions = torch.tensor([t % 2] * n_envs)
        buffer.record(slice(0, n_envs), {"actions": actions, **output.recorded()})
        buffer.add_step(np.arange(3.0) + 10 * t, np.zeros(n_envs, bool))
        written.append((obs, actions, output))
    buffer.write_recorded()
    buffer.compute_returns_and_advantage(torch.zeros(n_envs), np.zeros(n_envs, bool))
    return buffer, written


def test_a_minibatch_holds_what_was_written():
    buffer, written = filled_buffer()
    samples = buffer.samples()
    assert samples.observations.is_contiguous(memory_format=torch.channels_last)
    for t, (obs, actions, output) in enumerate(written):
        rows = slice(3 * t, 3 * t + 3)
        assert np.array_equal(samples.observations[rows].numpy(), obs)
        assert torch.equal(samples.actions[rows], actions)
        expected = distributions.log_prob(output.branch_logits, actions)
        torch.testing.assert_close(samples.old.branch_log_prob[rows], expected)
        torch.testing.assert_close(samples.old.branch_value[rows], output.branch_value)
    assert samples.old.glimpse is None
    torch.testing.assert_close(samples.returns, samples.advantages + samples.old.value)


def test_minibatches_hold_every_step_once():
    buffer, _ = filled_buffer()
    batches = [buffer.samples(indices) for indices in buffer.shuffled(5)]
    assert [len(b.actions) for b in batches] == [5, 5, 2]
    seen = torch.cat([b.observations.flatten(1) for b in batches])
    whole = buffer.samples()
    assert sorted(map(tuple, seen.tolist())) == sorted(
        map(tuple, whole.observations.flatten(1).tolist())
    )


def test_the_branch_cannot_be_forgotten():
    with pytest.raises(NotImplementedError, match="add_step"):
        filled_buffer()[0].add()


def test_sampling_follows_the_probabilities():
    torch.manual_seed(0)
    probabilities = torch.tensor([0.1, 0.6, 0.3])
    actions = distributions.sample(probabilities.log().expand(60_000, 3))
    share = torch.bincount(actions, minlength=3) / 60_000
    torch.testing.assert_close(share, probabilities, atol=0.01, rtol=0)


def test_log_prob_and_entropy_are_those_of_torch():
    logits, actions = torch.randn(7, 4) * 3, torch.randint(4, (7,))
    reference = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(distributions.log_prob(logits, actions), reference.log_prob(actions))
    torch.testing.assert_close(distributions.entropy(logits), reference.entropy())
