import math

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecMonitor
from torch.nn import functional as F

from rl_abn.rl.algorithms.advantages import explained_variance
from rl_abn.rl.algorithms.losses import BranchActorCritic, BranchDistillation, GlimpseLoss
from rl_abn.rl.algorithms.on_policy import MeanMetrics
from rl_abn.rl.policies import distributions
from rl_abn.rl.training.distributed import Ranks
from tests.rl.conftest import ProbeGame, make_algorithm, make_probe


class FirstMinibatch:
    """Wraps an algorithm's loss and keeps the ratios of each update's first minibatch."""

    def __init__(self, model):
        self.model, self.ratios, self.loss = model, [], model.loss
        model.loss = self
        self.updates = -1

    def __call__(self, samples, clip_range):
        if self.model._n_updates != self.updates and self.model._n_updates % 8 == 0:
            self.updates = self.model._n_updates
            with torch.no_grad():
                attention, _ = self.model.policy.attend(
                    samples.observations,
                    samples.state,
                    reset_mask=samples.reset_mask,
                    glimpses=samples.old.glimpse,
                )
            for logits, old in (
                (attention.action_logits, samples.old.log_prob),
                (attention.branch_logits, samples.old.branch_log_prob),
            ):
                if logits is not None:
                    new = distributions.log_prob(logits, samples.actions)
                    self.ratios.append((new - old).exp())
            if attention.glimpse_logits is not None:
                new = distributions.log_prob(attention.glimpse_logits, samples.old.glimpse)
                self.ratios.append((new - samples.old.glimpse_log_prob).exp())
        return self.loss(samples, clip_range)


@pytest.mark.parametrize("mechanism", ["residual", pytest.param("mask", marks=pytest.mark.full)])
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(ale_env, mechanism):
    kwargs = {"extractor": "nature", "mechanism": mechanism}
    model = make_algorithm("ppo", ale_env, policy_kwargs=kwargs, n_steps=16, batch_size=16)
    spy = FirstMinibatch(model)
    model.learn(4 * 32)
    assert len(spy.ratios) == 2 * 4
    for ratio in spy.ratios:
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)


def one_rollout(name, **kwargs):
    model = make_algorithm(name, make_probe(ProbeGame), **kwargs)
    model._setup_learn(10_000)
    model.collect_rollouts(
        model.env, model._init_callback(None), model.rollout_buffer, model.n_steps
    )
    return model, model.rollout_buffer.samples()


@pytest.mark.parametrize("branch_coef", [0.0, 0.7])
def test_ppo_loss_is_that_of_the_paper_for_both_branches(branch_coef):
    model, samples = one_rollout(
        "ppo", auxiliary_losses=[BranchActorCritic(branch_coef)], vf_coef=0.4
    )
    old = samples.old._replace(
        log_prob=samples.old.log_prob + 0.3 * torch.randn(256),
        branch_log_prob=samples.old.branch_log_prob + 0.3 * torch.randn(256),
    )
    samples = samples._replace(old=old, advantages=torch.randn(256))
    advantages = samples.advantages
    attention, _ = model.policy.attend(samples.observations)

    def expected(logits, value, old):
        distribution = torch.distributions.Categorical(logits=logits)
        ratio = (distribution.log_prob(samples.actions) - old).exp()
        surrogate = torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean()
        return (
            -surrogate
            + 0.4 * F.mse_loss(value, samples.returns)
            - 0.01 * distribution.entropy().mean()
        )

    agent = expected(attention.action_logits, attention.value, samples.old.log_prob)
    branch = expected(attention.branch_logits, attention.branch_value, samples.old.branch_log_prob)
    loss, terms = model.loss(samples, torch.tensor(0.2))
    torch.testing.assert_close(loss, agent + branch_coef * branch)
    torch.testing.assert_close(terms["branch_loss"], branch)


def test_a2c_loss_is_that_of_the_paper_for_both_branches():
    model, samples = one_rollout("a2c", auxiliary_losses=[BranchActorCritic(0.7)], vf_coef=0.4)
    attention, _ = model.policy.attend(samples.observations)

    def expected(logits, value):
        distribution = torch.distributions.Categorical(logits=logits)
        return (
            -(samples.advantages * distribution.log_prob(samples.actions)).mean()
            + 0.4 * F.mse_loss(value, samples.returns)
            - 0.01 * distribution.entropy().mean()
        )

    loss, _ = model.loss(samples)
    agent = expected(attention.action_logits, attention.value)
    branch = expected(attention.branch_logits, attention.branch_value)
    torch.testing.assert_close(loss, agent + 0.7 * branch)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_minibatchs_advantages_have_mean_0_and_deviation_1_if_asked(name, normalise):
    model, samples = one_rollout(name, normalize_advantage=normalise)
    used, loss = [], model.loss
    model.loss = lambda samples, *settings: (
        used.append(samples.advantages) or loss(samples, *settings)
    )
    indices = torch.arange(0, len(samples.actions), 2)
    model.accumulate_gradients(indices, *([torch.tensor(0.1)] if name == "ppo" else []))
    expected = samples.advantages[indices]
    if normalise:
        expected = (expected - expected.mean()) / (expected.std() + 1e-8)
    torch.testing.assert_close(used[0], expected)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_distillation_teaches_the_branch_and_leaves_the_agent_alone(name):
    distillation = BranchDistillation(0.7)
    model, samples = one_rollout(name, auxiliary_losses=[distillation], vf_coef=0.5)
    attention, _ = model.policy.attend(samples.observations)
    objective = model.objective(samples, torch.tensor(0.2))
    loss, terms = distillation(model.policy, attention, samples, objective)
    teacher = torch.distributions.Categorical(logits=attention.action_logits)
    student = torch.distributions.Categorical(logits=attention.branch_logits)
    kl = torch.distributions.kl_divergence(teacher, student).mean()
    torch.testing.assert_close(terms["branch_distillation_kl"], kl)
    value_loss = F.mse_loss(attention.branch_value, attention.value)
    torch.testing.assert_close(loss, 0.7 * (kl + 0.5 * value_loss))
    loss.backward()
    assert model.policy.action_net.weight.grad is None
    assert model.policy.attention_branch.evidence_head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_without_a_branch_loss_the_branchs_answer_does_not_learn(name):
    model = make_algorithm(name, make_probe(ProbeGame), auxiliary_losses=[])
    head = model.policy.attention_branch.evidence_head
    before = head.weight.clone()
    model.learn(256)
    assert torch.equal(head.weight, before)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_branch_loss_needs_a_branch_that_answers(name):
    """Said when the algorithm is made, not when the first update fails."""
    env, kwargs = make_probe(ProbeGame), {"policy_kwargs": {"branch_answers": False}}
    with pytest.raises(ValueError, match="whose attention branch answers for BranchActorCritic"):
        make_algorithm(
            name, make_probe(ProbeGame), auxiliary_losses=[BranchActorCritic()], **kwargs
        )
    with pytest.raises(ValueError, match="that samples where it looks"):
        make_algorithm(name, env, auxiliary_losses=[GlimpseLoss()], **kwargs)
    assert make_algorithm(name, env, **kwargs).auxiliary_losses == []


def test_values_are_not_clipped():
    with pytest.raises(ValueError, match=r"expected clip_range_vf=None, .* got 0\.2"):
        make_algorithm("ppo", make_probe(ProbeGame), clip_range_vf=0.2)


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
def test_a_minibatch_of_one_step_is_learnt_from():
    """Its advantage has no deviation to be divided by."""
    model = make_algorithm("ppo", make_probe(ProbeGame, 1), n_steps=17, batch_size=16, n_epochs=1)
    model.learn(17)
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())


class Endless(ProbeGame):
    """Reward 1 for ever, cut off after 5 steps."""

    def step(self, action):
        self.t += 1
        return self.picture(), 1.0, False, self.t >= 5, {}


def test_a_game_that_was_cut_off_is_worth_what_would_have_come():
    model = make_algorithm("ppo", make_probe(Endless), gamma=0.9, n_steps=5, batch_size=40)
    model._setup_learn(1000)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 5)
    picture = torch.full((1, 1, 12, 12), 100, dtype=torch.uint8)
    value = model.policy.attend(picture)[0].value.item()
    rewards = model.rollout_buffer.rewards
    assert torch.equal(rewards[:4], torch.ones(4, 8))
    torch.testing.assert_close(rewards[4], torch.full((8,), 1 + 0.9 * value))


class BigReward(ProbeGame):
    def reward(self, action):
        return 30.0 if self.t else -7.0

    length = 2


def test_rewards_are_clipped_to_their_sign_in_the_trainer_alone():
    env = VecMonitor(make_probe(BigReward))
    model = make_algorithm("ppo", env, clip_reward=True, n_steps=4, batch_size=32)
    model._setup_learn(1000)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 4)
    assert model.rollout_buffer.rewards[:, 0].tolist() == [-1, 1, -1, 1]
    assert {game["r"] for game in model.ep_info_buffer} == {23.0}


def test_a_kl_limit_ends_the_epochs_early():
    model = make_algorithm("ppo", make_probe(ProbeGame), target_kl=1e-12, n_epochs=4)
    model.learn(512)
    assert 0 < model._n_updates < 2 * 4 * 4


def test_metrics_are_means_over_an_update():
    metrics = MeanMetrics()
    for value in (1.0, 2.0, 6.0):
        metrics.add(loss=torch.tensor(value))
    fetched = metrics.fetch(Ranks(), {"other": torch.tensor(5.0)})
    assert fetched == {"loss": 3.0, "other": 5.0}


def test_explained_variance():
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(torch.full((3,), 9.0), returns) == 0
    assert explained_variance(-returns, returns) == pytest.approx(-3)
    assert math.isnan(explained_variance(returns, torch.ones(3)))


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_every_loss_term_of_both_branches_is_logged(name):
    model = make_algorithm(name, make_probe(ProbeGame))
    model.learn(256)
    logged = model.logger.name_to_value
    policy = "policy_gradient_loss" if name == "ppo" else "policy_loss"
    for term in (policy, "value_loss", "entropy_loss", "explained_variance"):
        assert np.isfinite(logged[f"train/{term}"]) or term == "explained_variance"
        assert f"train/branch_{term}" in logged
    if name == "ppo":
        assert {"train/approx_kl", "train/branch_clip_fraction"} <= logged.keys()
