"""Agents of Mask-A3C's network on Mask-A3C's observations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn import functional as F

from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_agent, load_env
from rl_abn.render import read_video
from rl_abn.rl import AleVecEnv, AttentionPolicy
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer
from rl_abn.rl.evaluation.evaluate import evaluate
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import watch_game, watch_training
from rl_abn.rl.policies import distributions
from rl_abn.rl.training.build import make_model, make_training_env, policy_settings
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import WEIGHTS, load_tensors
from tests.covering import more

FLOATS = spaces.Box(-np.inf, np.inf, (1, 80, 80), np.float32)
SETTINGS = [
    "network.extractor=mask_a3c",
    "network.attention_at=10",
    "train.protocol=mask_a3c",
    "protocol.mask_a3c.max_frames=240",
    "algorithm.n_envs=2",
    "train.n_probes=2",
    "train.log_every=32",
]
# A line down to the last step would be another one for a run of other length.
CONSTANT = ["algorithm.learning_rate=2.5e-4", "algorithm.clip_range=0.1"]
PPO = ["algorithm.n_steps=16", "algorithm.batch_size=16"]


def make(space=FLOATS, **kwargs):
    torch.manual_seed(0)
    kwargs = {"extractor": "mask_a3c", "mechanism": "mask", "maps": "split", **kwargs}
    return AttentionPolicy(
        space, spaces.Discrete(9), lambda _: 1e-3, branch_answers=False, **kwargs
    )


def start(folder, steps=96, every=32, **kwargs):
    settings = [*SETTINGS, *PPO, f"train.steps={steps}", f"train.checkpoint_every={every}"]
    return prepare_run(
        env="ms_pacman",
        agent="ppo_mask",
        seed=0,
        settings=[*settings, *CONSTANT],
        folder=folder,
        **kwargs,
    )


def test_the_agent_computes_what_the_published_one_does():
    """Without its ConvLSTM, written out with the published agent's operations."""
    policy = make()
    with torch.no_grad():
        for parameter in policy.parameters():  # so that no bias is 0
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    weight = dict(policy.named_parameters())
    obs = torch.randn(3, 1, 80, 80)

    x = obs
    for i, padding in enumerate((2, 1, 1)):
        name = f"features_extractor.layers.{i}.0"
        x = F.conv2d(x, weight[f"{name}.weight"], weight[f"{name}.bias"], padding=padding)
        x = F.relu(F.max_pool2d(x, 2))
    assert x.shape == (3, 64, 10, 10)
    heads = []
    for i in range(2):
        f = F.conv2d(x, weight[f"before_gates.{i}.0.weight"], weight[f"before_gates.{i}.0.bias"])
        name = "attention_branch.map_head.0"
        response = F.conv2d(
            x, weight[f"{name}.weight"][i : i + 1], weight[f"{name}.bias"][i : i + 1]
        )
        mask = torch.sigmoid(response)
        heads.append((mask, (F.relu(f) * mask).reshape(3, 3200)))

    attention, _ = policy.attend(obs)
    masks = torch.cat([mask for mask, _ in heads], dim=1)
    torch.testing.assert_close(attention.map, masks)
    torch.testing.assert_close(attention.action_logits, policy.action_net(heads[0][1]))
    torch.testing.assert_close(attention.value, policy.value_net(heads[1][1])[:, 0])


def test_it_has_the_published_parameters():
    trunk = (25 + 1) * 32 + (32 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    branch = (64 + 1) * 32 + (64 + 1)
    heads = (3200 + 1) * (9 + 1)
    assert sum(p.numel() for p in make().parameters()) == trunk + 2 * branch + heads


@pytest.mark.parametrize("mechanism", ["mask", "none"])
def test_a_shared_map_or_none_leaves_one_stage(mechanism):
    policy = make(mechanism=mechanism, maps="shared")
    assert len(policy.before_gates) == len(policy.perceptions) == 1
    assert policy.attend(torch.randn(2, 1, 80, 80))[0].action_logits.shape == (2, 9)


def test_networks_without_a_layer_there_have_no_tensors_of_it():
    pixels = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    for extractor in ("nature", "impala"):
        assert not any(
            "before_gate" in name for name in make(pixels, extractor=extractor).state_dict()
        )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_floats_are_taken_as_they_are_and_pixels_divided(precision):
    """One network, two spaces: the space decides, not what a tensor happens to be."""
    floats = make(precision=precision)
    pixels = make(spaces.Box(0, 255, (1, 80, 80), np.uint8), precision=precision)
    pixels.load_state_dict(floats.state_dict())
    seen = torch.randint(0, 256, (2, 1, 80, 80), dtype=torch.uint8)
    one, other = floats.attend(seen.float() / 255)[0], pixels.attend(seen)[0]
    close = {"atol": 1e-5, "rtol": 1e-4} if precision == "fp32" else {"atol": 2e-2, "rtol": 2e-2}
    torch.testing.assert_close(one.value, other.value, **close)
    torch.testing.assert_close(one.map, other.map, **close)
    torch.testing.assert_close(pixels.attend(seen.float())[0].value, other.value, **close)


def test_the_buffer_keeps_floats():
    buffer = AttentionRolloutBuffer(2, FLOATS, spaces.Discrete(2), "cpu", n_envs=3)
    obs = np.random.default_rng(0).standard_normal((3, 1, 80, 80)).astype(np.float32)
    for t in range(2):
        assert np.array_equal(buffer.observe(t, slice(0, 3), obs - t).numpy(), obs - t)
        actions = torch.zeros(3, dtype=torch.int64)
        step = {"actions": actions, "value": torch.zeros(3), "action_logits": torch.zeros(3, 2)}
        buffer.record(slice(0, 3), step)
    buffer.write_recorded()
    assert buffer.observations.dtype == torch.float32
    samples = buffer.samples(torch.tensor([4, 0]))
    assert np.array_equal(samples.observations.numpy(), np.stack([obs[1] - 1, obs[0]]))


def make_trained(settings=(), agent="ppo_mask", env="ms_pacman"):
    from rl_abn.recipes import RunRecipe, override

    given = [*SETTINGS, *(PPO if agent.startswith("ppo") else ["algorithm.n_steps=8"]), *settings]
    agent_recipe, env_recipe = override(load_agent(agent), load_env(env), given)
    recipe = RunRecipe(agent_name=agent, env_name=env, seed=0, agent=agent_recipe, env=env_recipe)
    return make_model(recipe, make_training_env(recipe), "cpu")


@pytest.mark.more
@pytest.mark.parametrize(
    "settings",
    [
        [],
        pytest.param(["train.env_parts=2"], marks=pytest.mark.full),
        pytest.param(["train.precision=bf16"], marks=pytest.mark.full),
    ],
)
def test_ppo_ratio_is_1_on_the_first_minibatch_of_every_update(settings):
    model = make_trained(settings)
    loss, ratios, seen = model.loss, [], set()

    def spy(samples, clip_range):
        if model._n_updates not in seen and model._n_updates % 8 == 0:
            with torch.no_grad():
                logits = model.policy.attend(samples.observations)[0].action_logits
            new = distributions.log_prob(logits, samples.actions)
            ratios.append((new - samples.old.log_prob).exp())
        seen.add(model._n_updates)
        return loss(samples, clip_range)

    model.loss = spy
    model.learn(3 * 32)
    assert len(ratios) == 3
    atol = 2e-2 if "train.precision=bf16" in settings else 1e-5
    for ratio in ratios:
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=atol, rtol=0)


@pytest.mark.parametrize("agent", ["a2c_mask", *more("ppo_mask", "ppo_abn_paper")])
def test_every_parameter_gets_a_gradient(agent):
    model = make_trained(agent=agent)
    model._setup_learn(32)
    model.collect_rollouts(
        model.env, model._init_callback(None), model.rollout_buffer, model.n_steps
    )
    samples = model.rollout_buffer.samples()
    loss, _ = model.loss(samples, 0.1) if agent.startswith("ppo") else model.loss(samples)
    loss.backward()
    for name, parameter in model.policy.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_a_cut_off_game_is_valued_by_its_normalised_last_observation():
    model = make_trained(["protocol.mask_a3c.max_frames=60"])
    valued = []
    attend = model.policy.attend
    model.policy.attend = lambda obs, *args, **kwargs: (
        valued.append(obs) or attend(obs, *args, **kwargs)
    )
    model._setup_learn(32)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)
    # A pass a step, one for the last observations, and one for both games that were cut off.
    assert len(valued) == 16 + 1 + 1
    cut_off = valued[-1]
    assert cut_off.shape == (2, 1, 80, 80)
    assert cut_off.dtype == torch.float32
    for obs in cut_off:
        assert 0.5 < obs.std() < 2


@pytest.mark.more
def test_it_trains_evaluates_and_shows_the_rows_it_sees(tmp_path):
    run, _ = start(tmp_path / "run")
    assert train(run, resume=False).step == 96
    log = ProbeLog.open(run)
    assert log.probes.observations.dtype == np.float32
    assert log.probes.observations.shape == (2, 1, 80, 80)
    assert log.maps(96).shape == (2, 2, 10, 10)
    result = evaluate_run(run, n_games=2, greedy=True)
    assert result.evaluations[0].protocol == "mask_a3c"
    assert [game.length for game in result.evaluations[0].games] == [60, 60]
    video = watch_game(run, max_steps=3)
    assert read_video(video.path)[0] == 3
    assert watch_training(run).n_frames > 0


@pytest.mark.full
def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path):
    whole, _ = start(tmp_path / "whole")
    train(whole, resume=False)
    cut, _ = start(tmp_path / "cut", steps=64)
    train(cut, resume=False)
    again, resume = start(tmp_path / "cut", on_exists="resume")
    assert train(again, resume=resume).step == 96
    ends = [load_tensors(run.checkpoint().path / WEIGHTS) for run in (whole, again)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_an_agent_that_sees_something_else_is_refused(space_invaders, tmp_path):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["legacy"], 1)
    policy = AttentionPolicy(
        env.observation_space,
        env.action_space,
        lambda _: 0.0,
        **policy_settings(load_agent("ppo_abn_paper")).as_kwargs(),
    )
    player = AgentPlayer("ppo_abn_paper", policy, greedy=False, seed=0)
    with pytest.raises(RlAbnError) as caught:
        evaluate(player, space_invaders, "mask_a3c", 1)
    assert str(caught.value) == (
        "expected a protocol with observations uint8 [4, 84, 84], on which the agent was trained, "
        "got 'mask_a3c' with float32 [1, 80, 80]"
    )
