"""What the losses and their weights come to, in closed form."""

import math
from types import SimpleNamespace

import pytest
import torch

from rl_abn.rl.algorithms.losses import (
    BranchActorCritic,
    BranchDistillation,
    BranchOffPolicy,
    MapArea,
    MapEntropy,
    MapInformation,
    ScheduledWeight,
)
from rl_abn.rl.algorithms.minibatch_share import MinibatchShare
from rl_abn.rl.policies import distributions
from tests.rl.conftest import PatchSignal, make_algorithm, make_probe


def trained(name, losses, **kwargs):
    model = make_algorithm(name, make_probe(PatchSignal), auxiliary_losses=losses, **kwargs)
    model.learn(64 if name == "a2c" else 256)
    return model


def parts(model):
    """The rollout, the agent's output on it, and the algorithm's objective."""
    samples = model.rollout_buffer.samples()
    output, _ = model.policy.attend(samples.observations)
    return samples, output, model.objective(samples, *model.objective_settings())


def test_off_policy_ppo_has_its_ratio_to_the_acting_policy():
    model = trained("ppo", [loss := BranchOffPolicy()])
    samples, output, objective = parts(model)
    ratio = (
        distributions.log_prob(output.branch_logits, samples.actions) - samples.old.log_prob
    ).exp()
    clip = objective.clip_range
    advantages = samples.advantages
    surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))
    _, terms = loss(model.policy, output, samples, objective)
    torch.testing.assert_close(terms["branch_policy_gradient_loss"], -surrogate.mean())


def test_off_policy_a2c_weighs_advantages_by_the_ratio_up_to_1():
    model = trained("a2c", [loss := BranchOffPolicy()])
    samples, output, objective = parts(model)
    log_prob = distributions.log_prob(output.branch_logits, samples.actions)
    weight = (log_prob - samples.old.log_prob).exp().clamp(max=1).detach()
    assert weight.min() < 1
    _, terms = loss(model.policy, output, samples, objective)
    expected = -(samples.advantages * weight * log_prob).mean()
    torch.testing.assert_close(terms["branch_policy_loss"], expected)


def test_the_off_policy_gradient_vanishes_where_the_branch_agrees_and_nothing_is_to_gain():
    """On policy in the branch's own ratio, it would not: actions are the agent's."""
    model = trained("ppo", [BranchOffPolicy()])
    samples, output, objective = parts(model)
    agreeing = output._replace(branch_logits=output.action_logits.detach().requires_grad_())
    nothing = samples._replace(advantages=torch.zeros_like(samples.advantages))
    objective = model.objective(nothing, *model.objective_settings())
    logits = agreeing.branch_logits
    loss = objective.off_policy().policy_loss(
        distributions.log_prob(logits, nothing.actions),
        nothing.old.log_prob,
        nothing.advantages,
    )
    assert torch.autograd.grad(loss, logits)[0].abs().max() == 0


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_weight_follows_its_schedule(name):
    weight = ScheduledWeight(lambda remaining: 2.0 * remaining)
    model = trained(name, [BranchDistillation(weight)])
    assert weight.value.item() == pytest.approx(2.0 * model._current_progress_remaining, abs=1e-6)
    assert weight.value.item() < 2.0
    samples, output, objective = parts(model)
    weighted, terms = model.auxiliary_losses[0](model.policy, output, samples, objective)
    torch.testing.assert_close(weighted, weight.value * terms["branch_loss"])


def test_the_area_of_maps():
    model = trained("ppo", [area := MapArea(0.5)])
    samples, output, objective = parts(model)
    weighted, terms = area(model.policy, output, samples, objective)
    torch.testing.assert_close(terms["map_area"], output.map.mean())
    torch.testing.assert_close(weighted, 0.5 * output.map.mean())


def test_the_entropy_of_maps():
    model = trained("ppo", [entropy := MapEntropy(0.5)])
    samples, output, objective = parts(model)
    weighted, terms = entropy(model.policy, output, samples, objective)
    share = output.map / output.map.sum(dim=(2, 3), keepdim=True)
    expected = -(share * share.log()).sum(dim=(2, 3)).mean() / math.log(36)
    torch.testing.assert_close(terms["map_entropy"], expected)
    torch.testing.assert_close(weighted, 0.5 * expected)


WHOLE = SimpleNamespace(share=MinibatchShare())  # samples that are a minibatch by themselves


def moments(*locations):
    """The policy's output with one map a moment, each at one of 36 locations or even (None)."""
    maps = torch.full((len(locations), 1, 6, 6), 1 / 36)
    for attention_map, location in zip(maps, locations, strict=True):
        if location is not None:
            attention_map.zero_().view(-1)[location] = 1.0
    return SimpleNamespace(map=maps)


@pytest.mark.parametrize(
    ("locations", "information"),
    [
        ((5, 5, 5, 5), 0.0),  # sharp, and says nothing of the moment
        ((None, None, None, None), 0.0),
        ((0, 7, 0, 7), math.log(2)),
        ((0, 7, 21, 35), math.log(4)),
        (range(36), math.log(36)),
    ],
)
def test_what_maps_say_of_their_moment(locations, information):
    weighted, terms = MapInformation(0.5)(None, moments(*locations), WHOLE, None)
    assert terms["map_information"].item() == pytest.approx(information / math.log(36), abs=1e-6)
    assert weighted.item() == pytest.approx(0.5 * (1 - information / math.log(36)), abs=1e-6)


@pytest.mark.parametrize("price", [MapEntropy, MapInformation])
def test_a_map_of_one_location_says_nothing(price):
    """Observations of 36x36 leave a single location at the last stage."""
    maps = torch.rand(4, 2, 1, 1, requires_grad=True)
    weighted, terms = price(0.5)(None, SimpleNamespace(map=maps), WHOLE, None)
    assert terms[price.name].item() == 0.0
    weighted.backward()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize("loss", [MapArea(1.0), MapInformation(1.0)])
def test_a_price_of_maps_needs_maps(loss):
    kwargs = {"policy_kwargs": {"mechanism": "none"}}
    with pytest.raises(ValueError, match=f"expected a policy with maps for {type(loss).__name__}"):
        make_algorithm("ppo", make_probe(PatchSignal), auxiliary_losses=[loss], **kwargs)


def norms(model):
    apart = list(model.policy.mechanism.parameters())
    known = set(map(id, apart))
    rest = [p for p in model.policy.parameters() if id(p) not in known]
    return [
        torch.stack([p.grad.square().sum() for p in group if p.grad is not None]).sum().sqrt()
        for group in (apart, rest)
    ]


def test_the_branchs_gradients_are_clipped_apart():
    model = trained("a2c", [BranchActorCritic(100.0)], branch_max_grad_norm=0.01)
    model.accumulate_gradients(None)
    branch, rest = norms(model)
    assert branch > 0.02
    terms = model.step_optimizer()
    torch.testing.assert_close(terms["branch_grad_norm"], branch)
    torch.testing.assert_close(terms["grad_norm"], rest)
    branch, rest = norms(model)
    assert branch.item() == pytest.approx(0.01, rel=1e-3)
    assert terms["grad_share_kept"].item() == pytest.approx(min(1.0, 0.5 / terms["grad_norm"]))


def test_clipped_together_the_share_is_of_all():
    model = trained("a2c", [BranchActorCritic(100.0)])
    model.accumulate_gradients(None)
    whole = torch.stack(norms(model)).square().sum().sqrt()
    terms = model.step_optimizer()
    torch.testing.assert_close(terms["grad_norm"], whole)
    assert terms["grad_share_kept"].item() == pytest.approx(0.5 / whole.item(), rel=1e-3)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_the_map_layers_learn_at_their_own_rate(name):
    model = trained(name, None, policy_kwargs={"map_learning_rate_factor": 10.0})
    rest, maps = model.policy.optimizer.param_groups
    assert maps["lr"] == pytest.approx(10 * rest["lr"])
    assert set(map(id, maps["params"])) == set(
        map(id, model.policy.attention_branch.map_head.parameters())
    )
    n = sum(len(group["params"]) for group in (rest, maps))
    assert n == len(list(model.policy.parameters()))


@pytest.mark.parametrize("normalised", [True, False])
def test_pulls_at_the_trunk_are_of_the_advantages_that_an_update_learns_from(normalised):
    model = trained("ppo", [], normalize_advantage=normalised)
    before = model.trunk_gradients(64)["agent"]
    model.rollout_buffer.advantages.mul_(1000.0).add_(3.0)
    after = model.trunk_gradients(64)["agent"]
    assert (after == pytest.approx(before, rel=1e-3)) == normalised


def test_pulls_at_the_trunk_are_told_apart():
    model = trained("ppo", [BranchActorCritic(10.0)])
    pulls = model.trunk_gradients(64)
    assert pulls["auxiliary"] > pulls["agent"] > 0
    options = {"mechanism_options": {"trunk_gradient": 0.0}}
    detached = trained("ppo", [BranchActorCritic(10.0)], policy_kwargs=options)
    assert detached.trunk_gradients(64)["auxiliary"] == 0
    alone = trained("ppo", [], policy_kwargs={"mechanism": "none"})
    assert set(alone.trunk_gradients(64)) == {"agent"}
