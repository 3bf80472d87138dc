import numpy as np
import pytest
import torch

from rl_abn.rl.algorithms.reward_scale import RewardScale, reward_form
from rl_abn.rl.training.distributed import Ranks
from tests.rl.conftest import ProbeGame, make_algorithm, make_probe

REWARDS = torch.tensor([[0.0, 200.0], [-3.0, 0.0], [0.0, 30.0]])
DONES = torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])


def scaled(form, moments=None):
    return RewardScale(form, 0.5, moments, Ranks())(REWARDS, DONES)


def test_signs_and_rewards_as_they_are():
    assert torch.equal(scaled("sign"), REWARDS.sign())
    assert torch.equal(scaled("none"), REWARDS)


def test_rewards_are_divided_by_the_standard_deviation_of_returns():
    """Returns so far: game 1: 0, -3, -1.5; game 2: 200 and its end, 0, 30."""
    moments = torch.zeros(3, dtype=torch.float64)
    returns = np.array([0, -3, -1.5, 200, 0, 30])
    torch.testing.assert_close(
        scaled("return_std", moments), (REWARDS / returns.std()).clamp(-10, 10).float()
    )
    np.testing.assert_allclose(moments, [1, returns.mean(), np.square(returns).mean()])


def test_the_moments_are_means_over_all_rollouts():
    moments = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    scale = RewardScale("return_std", 0.0, moments, Ranks())
    scale(torch.full((4, 2), 5.0), torch.zeros(4, 2))
    np.testing.assert_allclose(moments, [4, (3 * 1 + 5) / 4, (3 * 2 + 25) / 4])


def test_returns_go_on_from_one_rollout_to_the_next():
    moments = torch.zeros(3, dtype=torch.float64)
    scale = RewardScale("return_std", 0.5, moments, Ranks())
    scale(torch.tensor([[8.0]]), torch.zeros(1, 1))
    scale(torch.tensor([[0.0]]), torch.ones(1, 1))
    scale(torch.tensor([[0.0]]), torch.zeros(1, 1))
    np.testing.assert_allclose(moments, [3, (8 + 4 + 0) / 3, (64 + 16) / 3])


def test_rewards_that_are_all_nothing_stay_so():
    moments = torch.zeros(3, dtype=torch.float64)
    scale = RewardScale("return_std", 0.5, moments, Ranks())
    assert torch.equal(scale(torch.zeros(3, 2), DONES), torch.zeros(3, 2))


def test_forms():
    assert [reward_form(value) for value in (True, False, "return_std")] == [
        "sign",
        "none",
        "return_std",
    ]
    with pytest.raises(ValueError, match=r"expected clip_reward of .* got 'sgn'"):
        reward_form("sgn")
    with pytest.raises(ValueError, match="moments"):
        RewardScale("return_std", 0.9, None, Ranks())


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_the_policy_keeps_moments_where_rewards_are_scaled_by_them(name, tmp_path):
    model = make_algorithm(name, make_probe(Large), clip_reward="return_std")
    model.learn(256)
    assert model.policy.return_moments[0] > 0
    model.save(tmp_path / "agent.zip")
    again = type(model).load(tmp_path / "agent.zip", device="cpu")
    assert torch.equal(again.policy.return_moments, model.policy.return_moments)


class Large(ProbeGame):
    def reward(self, action):
        return 1000.0 if action else 0.0


def test_a_large_reward_is_learnt_by_its_size_among_returns():
    model = make_algorithm(
        "ppo",
        make_probe(Large),
        clip_reward="return_std",
        policy_kwargs={"keeps_return_moments": True},
    )
    model.learn(256)
    rewards = model.rollout_buffer.rewards
    assert 1.5 < rewards.max() < 2.6  # a standard deviation of about 500
    assert "reward_moments" in model.policy.state_dict()
    assert "reward_moments" not in make_algorithm("ppo", make_probe(Large)).policy.state_dict()
