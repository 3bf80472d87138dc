"""Learning from a teacher: the loss in closed form, what is recorded, and that it is learnt."""

from itertools import product

import numpy as np
import pytest
import torch

from rl_abn.recipes import LinearSchedule, schedule
from rl_abn.rl import AttentionPPO
from rl_abn.rl.algorithms.losses import BranchActorCritic, ScheduledWeight, TeacherDistillation
from rl_abn.rl.evaluation.players import AgentPlayer
from tests.covering import covering
from tests.rl.conftest import STRIPES, ProbeGame, Signal, make_algorithm, make_probe

ALGORITHMS = pytest.mark.parametrize("name", ["ppo", "a2c"])


class Wrong(Signal):
    """The reward is for the action that the stripes do not say."""

    def reward(self, action):
        return -super().reward(action)


class Steps(ProbeGame):
    """Games of three steps with pictures at random."""

    length = 3

    def picture(self):
        return self.np_random.integers(0, 256, (1, 12, 12)).astype(np.uint8)


def a_policy(seed=1, **kwargs):
    """Some agent whose policy is far from even."""
    model = make_algorithm("ppo", make_probe(Steps, 2), seed=seed, policy_kwargs=kwargs)
    torch.nn.init.normal_(model.policy.action_net.weight)
    model.policy.set_training_mode(False)
    return model.policy


def taught(name, game, teacher, losses, n_steps=None, **kwargs):
    model = make_algorithm(
        name, make_probe(game), teacher=teacher, auxiliary_losses=losses, **kwargs
    )
    model.learn(n_steps or (64 if name == "a2c" else 256))
    return model


def parts(model):
    samples = model.rollout_buffer.samples()
    output, _ = model.policy.attend(samples.observations)
    return samples, output, model.objective(samples, *model.objective_settings())


@ALGORITHMS
def test_the_loss_is_the_divergence_from_the_sharpened_teacher(name):
    loss = TeacherDistillation(0.5, temperature=0.3, branch_coef=2.0)
    model = taught(name, Steps, a_policy(), [loss])
    samples, output, objective = parts(model)
    teacher = torch.distributions.Categorical(logits=samples.old.teacher_logits / 0.3)
    kl, branch_kl = (
        torch.distributions.kl_divergence(
            teacher, torch.distributions.Categorical(logits=logits)
        ).mean()
        for logits in (output.action_logits, output.branch_logits)
    )
    total, terms = loss(model.policy, output, samples, objective)
    torch.testing.assert_close(terms["teacher_kl"], kl, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(terms["branch_teacher_kl"], branch_kl, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(total, 0.5 * (kl + 2 * branch_kl), rtol=1e-4, atol=1e-6)
    assert terms["teacher_coef"] == 0.5
    assert model.logger.name_to_value["train/reward_coef"] == 1.0


def test_a_greedy_teacher_is_the_likelihood_of_its_action():
    loss = TeacherDistillation(greedy=True)
    model = taught("ppo", Steps, a_policy(), [loss])
    samples, output, objective = parts(model)
    best = samples.old.teacher_logits.argmax(dim=1, keepdim=True)
    expected = -output.action_logits.log_softmax(dim=1).gather(1, best).mean()
    total, terms = loss(model.policy, output, samples, objective)
    torch.testing.assert_close(total, expected)
    agrees = (output.action_logits.argmax(dim=1, keepdim=True) == best).float().mean()
    assert terms["teacher_agreement"] == agrees
    assert "branch_teacher_kl" not in terms


def test_the_teachers_weight_follows_its_schedule():
    weights = [ScheduledWeight(schedule(LinearSchedule(start=s, end=0.0))) for s in (2.0, 4.0)]
    loss = TeacherDistillation(weights[0], branch_coef=weights[1])
    loss.begin_update(0.25, torch.device("cpu"))
    assert [weight.value.item() for weight in weights] == [0.5, 1.0]


def test_a_branch_without_an_answer_cannot_be_taught():
    kwargs = {"policy_kwargs": {"mechanism": "mask", "branch_answers": False}}
    with pytest.raises(ValueError, match="expected a policy whose attention branch answers"):
        make_algorithm(
            "ppo",
            make_probe(Steps),
            auxiliary_losses=[TeacherDistillation(branch_coef=1.0)],
            **kwargs,
        )


@pytest.mark.parametrize(("name", "memory"), covering(product(["ppo", "a2c"], ["lstm", "none"])))
def test_what_is_recorded_is_what_the_teacher_says_by_itself(name, memory):
    """Over two rollouts: its memory goes on between them, and is emptied where games begin."""
    teacher = a_policy(memory=memory, memory_size=8)
    seen = []

    def keep(policy, buffer, ranks):
        observations = buffer.observations.permute(0, 1, 4, 2, 3).clone()
        seen.append((observations, buffer.episode_starts.bool().clone(), buffer.old))
        seen[-1] = (*seen[-1][:2], buffer.old.teacher_logits.clone())

    loss = TeacherDistillation()
    object.__setattr__(loss, "end_rollout", keep)
    taught(name, Steps, teacher, [loss], n_steps=128 if name == "a2c" else 512)
    assert len(seen) == 2
    player = AgentPlayer("teacher", teacher, greedy=True, seed=0)
    for observations, starts, recorded in seen:
        for obs, start, logits in zip(observations, starts, recorded, strict=True):
            found = player.attend(obs.numpy(), start.numpy()).action_logits
            assert torch.equal(found, logits)
    assert recorded.std() > 0.1


@pytest.mark.more
@pytest.mark.parametrize("name", ["ppo", pytest.param("a2c", marks=pytest.mark.full)])
def test_pure_distillation_follows_the_teacher_against_the_reward(name):
    n_steps = 1024 if name == "ppo" else 3000
    good = make_algorithm(name, make_probe(Signal))
    good.learn(n_steps)
    losses = [TeacherDistillation(branch_coef=1.0), BranchActorCritic()]
    student = taught(name, Wrong, good.policy, losses, n_steps=n_steps + 512, reward_coef=0.0)
    screens = torch.as_tensor(np.stack(STRIPES))
    output, _ = student.policy.attend(screens)
    theirs, _ = good.policy.attend(screens)
    assert theirs.action_logits.argmax(dim=1).tolist() == [0, 1]
    assert output.action_logits.argmax(dim=1).tolist() == [0, 1]
    assert output.branch_logits.argmax(dim=1).tolist() == [0, 1]
    assert output.value.mean() < -0.3  # its own returns are bad, and the critic knows


@ALGORITHMS
def test_without_reward_the_policy_gets_no_gradient_of_it(name):
    model = taught(name, Signal, a_policy(), [], reward_coef=0.0)
    samples, output, objective = parts(model)
    loss, _ = objective.actor_critic(output.action_logits, output.value, samples.old.log_prob)
    weight = model.policy.action_net.weight
    gradient = torch.autograd.grad(loss, [weight, model.policy.value_net.weight])
    assert not gradient[0].any()
    assert gradient[1].any()


def test_a_zip_without_its_teacher_is_told_before_a_game_is_played(tmp_path):
    model = taught("ppo", Steps, a_policy(), [TeacherDistillation()])
    model.save(tmp_path / "student.zip")
    again = AttentionPPO.load(tmp_path / "student.zip", env=make_probe(Steps), device="cpu")
    with pytest.raises(ValueError, match="expected a teacher for TeacherDistillation, got none"):
        again.learn(256)
    assert again.num_timesteps == model.num_timesteps
    again.teacher = a_policy()
    again.learn(256)
    assert again.logger.name_to_value["train/teacher_kl"] > 0


def test_a_reward_weight_of_1_changes_no_byte():
    one = ScheduledWeight(schedule(LinearSchedule(start=1.0, end=1.0)))
    trained = [
        make_algorithm("ppo", make_probe(Signal), **kwargs).learn(256)
        for kwargs in ({}, {"reward_coef": one})
    ]
    first, second = (model.policy.state_dict() for model in trained)
    assert all(torch.equal(first[name], second[name]) for name in first)
