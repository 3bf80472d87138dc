"""What makes training fast changes nothing that is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.compute import Compute
from rl_abn.compute import packed_weights as packed
from rl_abn.compute.cuda_graph import Replayed
from rl_abn.compute.packed_weights import can_pack
from rl_abn.rl.algorithms.minibatch_threads import MinibatchThreads
from rl_abn.rl.algorithms.rollout_buffer import AttentionRolloutBuffer
from rl_abn.rl.envs.env_parts import PartitionedVecEnv, env_parts_of
from rl_abn.rl.policies import distributions
from tests.covering import full, more
from tests.fixed_memory import FixedMemory
from tests.rl.conftest import PatchSignal, ProbeGame, make_algorithm, make_probe

ALGORITHMS = ["ppo", "a2c"]


def weights(model):
    return {name: value.clone() for name, value in model.policy.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def replayed(monkeypatch):
    """Lets a CPU replay what a GPU would, and lists what was recorded."""
    recorders = []

    def replay(self, function, device):
        if not self.graphs:
            return function
        recorders.append(FixedMemory())
        return Replayed(function, recorders[-1])

    monkeypatch.setattr(Compute, "replay", replay)
    monkeypatch.setattr(Compute, "replays", lambda self, device: self.graphs)
    return recorders


@pytest.mark.more
@pytest.mark.parametrize("name", ALGORITHMS)
def test_replayed_graphs_learn_the_same_weights(name, replayed):
    models = []
    for graphs in (False, True):
        kwargs = {"policy_kwargs": {"graphs": graphs}}
        models.append(make_algorithm(name, make_probe(PatchSignal), **kwargs))
        before = weights(models[-1])
        models[-1].learn(3 * 256)
    act, gradients = replayed
    assert (act.recorded, gradients.recorded) == (2, 1)  # the last values come in another layout
    eager, graphs = map(weights, models)
    assert not same(before, graphs)
    assert same(eager, graphs)
    logged = [model.logger.name_to_value for model in models]
    assert logged[0]["train/value_loss"] == logged[1]["train/value_loss"]


def test_a_gpu_alone_replays_graphs():
    def function():
        return None

    assert Compute(graphs=True).replay(function, torch.device("cpu")) is function
    assert Compute(graphs=False).replay(function, torch.device("cuda")) is function
    assert isinstance(Compute(graphs=True).replay(function, torch.device("cuda")), Replayed)


def test_compiling_keeps_names_and_results(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    plain, kernels = (
        make_algorithm("ppo", make_probe(ProbeGame), policy_kwargs={"compiled": compiled})
        for compiled in (False, True)
    )
    policy = kernels.policy
    assert compiled == [policy.features_extractor, policy.attention_branch, *policy.perceptions]
    assert same(weights(plain), weights(kernels))


@pytest.mark.more
def test_a_compiled_network_sees_what_a_plain_one_does(monkeypatch):
    """Traced through the compiler, without the minutes of making kernels.

    Without a branch: the shapes that tests check in its signatures cannot be traced.
    """
    compile_ = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda m: compile_(m, backend="aot_eager"))
    kwargs = {"mechanism": "none", "branch_answers": False}
    plain, kernels = (
        make_algorithm(
            "ppo",
            make_probe(ProbeGame),
            auxiliary_losses=[],
            policy_kwargs={**kwargs, "compiled": compiled},
        ).policy
        for compiled in (False, True)
    )
    pixels = torch.randint(0, 256, (5, 1, 12, 12), dtype=torch.uint8)
    for one, other in zip(plain.attend(pixels)[0], kernels.attend(pixels)[0], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.skipif(not can_pack(), reason="wants a processor with bfloat16")
@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        ("ppo", "residual"),
        *more(("a2c", "soft"), ("ppo", "none")),
        *full(("ppo", "soft"), ("a2c", "residual"), ("a2c", "none")),
    ],
)
def test_packed_weights_learn_the_same_weights(name, mechanism, monkeypatch):
    """Every rollout packs those of its own policy, and their bits are the same."""
    made = []
    convolution = packed._convolution
    monkeypatch.setattr(
        packed, "_convolution", lambda *args: made.append(args) or convolution(*args)
    )
    kwargs = {"precision": "bf16", "mechanism": mechanism}
    if mechanism == "soft":
        kwargs |= {"memory": "lstm", "memory_size": 16}
    if mechanism != "residual":
        kwargs["branch_answers"] = False
    models, counts = [], []
    for can in (False, True):
        monkeypatch.setattr(packed, "can_pack", lambda can=can: can)
        model = make_algorithm(name, make_probe(PatchSignal), policy_kwargs=kwargs)
        model.learn(3 * 256)
        models.append(weights(model))
        counts.append(len(made))
    assert same(*models)
    assert counts[0] == 0
    assert counts[1] > 0


@pytest.mark.parametrize("batch", [64, 7])
def test_learners_find_the_gradients_of_the_whole_minibatch(batch):
    model = make_algorithm("ppo", make_probe(PatchSignal))
    model._setup_learn(10_000)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 32)
    indices, clip = torch.randperm(256)[:batch], torch.tensor(0.2)
    terms = model.accumulate_gradients(indices, clip)
    gradients = [parameter.grad.clone() for parameter in model.policy.parameters()]
    model._threads = MinibatchThreads(3)
    shared = model.accumulate_gradients(indices, clip)
    assert shared.keys() == terms.keys()
    for name in terms:
        torch.testing.assert_close(shared[name], terms[name], atol=1e-6, rtol=1e-4)
    for parameter, expected in zip(model.policy.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-6, rtol=1e-4)
        assert parameter.grad.stride() == parameter.stride()


@pytest.mark.more
@pytest.mark.parametrize("name", ALGORITHMS)
def test_learners_end_with_the_same_bytes_every_time(name):
    ends = []
    for _ in range(2):
        model = make_algorithm(name, make_probe(PatchSignal), auxiliary_losses=[])
        model._threads = MinibatchThreads(2)
        model.learn(512)
        ends.append(weights(model))
    assert same(*ends)


class Counting(ProbeGame):
    """Shows how many steps were played, and which of the games this is."""

    observation_space = spaces.Box(0, 255, (2, 12, 12), np.uint8)
    made = 0

    def __init__(self):
        self.number = Counting.made % 8
        Counting.made += 1
        self.length = 3 + self.number

    def picture(self):
        picture = np.zeros((2, 12, 12), np.uint8)
        picture[0], picture[1] = self.t, self.number
        return picture

    def reward(self, action):
        return 10.0 * self.number + action


@pytest.mark.more
@pytest.mark.parametrize("name", ALGORITHMS)
def test_games_in_parts_learn_the_same_weights(name):
    ends, rollouts = [], []
    for sizes in ((8,), (4, 4), (2, 6)):
        Counting.made = 0
        env = (
            make_probe(Counting)
            if sizes == (8,)
            else PartitionedVecEnv([make_probe(Counting, n) for n in sizes])
        )
        model = make_algorithm(
            name, env, n_steps=8, **({"batch_size": 32} if name == "ppo" else {})
        )
        model.learn(4 * 64)
        ends.append(weights(model))
        buffer = model.rollout_buffer
        rollouts.append(
            (buffer.observations, buffer.actions, buffer.rewards, buffer.episode_starts)
        )
        assert model.num_timesteps == 4 * 64
    for other_end, other_rollout in zip(ends[1:], rollouts[1:], strict=True):
        for one, other in zip(rollouts[0], other_rollout, strict=True):
            assert torch.equal(one, other)
        for key, value in ends[0].items():
            torch.testing.assert_close(other_end[key], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("stop_after", [3, 8])
def test_parts_that_are_a_step_ahead_catch_up_when_training_stops(stop_after):
    Counting.made = 0
    env = PartitionedVecEnv([make_probe(Counting, 4), make_probe(Counting, 4)])
    model = make_algorithm("a2c", env)
    steps = []
    model.learn(64, callback=lambda local, _: steps.append(1) is None and len(steps) < stop_after)
    assert len(steps) == stop_after
    assert model._last_obs.shape == (8, 2, 12, 12)
    env.step(np.zeros(8, np.int64))  # no step is under way any more


def test_parts_keep_the_games_order():
    Counting.made = 0
    env = PartitionedVecEnv([make_probe(Counting, 2), make_probe(Counting, 3)])
    assert [games for _, games in env_parts_of(env)] == [slice(0, 2), slice(2, 5)]
    assert env.reset()[:, 1, 0, 0].tolist() == [0, 1, 2, 3, 4]
    _, rewards, dones, infos = env.step(np.array([0, 1, 0, 1, 0]))
    assert rewards.tolist() == [0, 11, 20, 31, 40]
    assert len(dones) == len(infos) == 5
    assert env.get_attr("number", [1, 4]) == [1, 4]


def test_parts_with_other_spaces_are_refused():
    with pytest.raises(ValueError, match="same spaces"):
        PartitionedVecEnv([make_probe(ProbeGame), make_probe(PatchSignal)])


def test_what_reaches_a_gpu_through_pinned_memory_is_what_was_seen():
    pixels = spaces.Box(0, 255, (3, 5, 6), np.uint8)
    direct, pinned = (
        AttentionRolloutBuffer(2, pixels, spaces.Discrete(2), "cpu", n_envs=4) for _ in range(2)
    )
    pinned._pinned = torch.zeros(4, 3, 5, 6, dtype=torch.uint8)
    for t, games in ((0, slice(0, 2)), (0, slice(2, 4)), (1, slice(0, 4))):
        obs = np.random.default_rng(t).integers(0, 256, (4, 3, 5, 6)).astype(np.uint8)[games]
        for buffer in (direct, pinned):
            assert np.array_equal(buffer.observe(t, games, obs).numpy(), obs)
    assert torch.equal(direct.observations, pinned.observations)


def test_a_few_observations_are_looked_at_in_one_thread_and_many_in_all(monkeypatch):
    used = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    with Compute().acting(torch.device("cpu"), 8):
        assert used == [1]
        assert not torch.is_grad_enabled()
    assert used == [1, 4]
    with Compute().acting(torch.device("cpu"), 4096):
        pass
    assert used == [1, 4]


def test_a_callback_finds_everything_as_it_was_outside_the_rollout():
    class GlimpseOutput(BaseCallback):
        def _on_step(self):
            x = torch.ones(2, 2, requires_grad=True)
            seen.append(((x @ x).dtype, (x @ x).requires_grad, torch.get_num_threads()))
            return True

    seen = []
    model = make_algorithm("ppo", make_probe(PatchSignal), policy_kwargs={"precision": "bf16"})
    model.learn(1, callback=GlimpseOutput())
    assert set(seen) == {(torch.float32, True, torch.get_num_threads())}


def test_weights_are_cast_once_a_rollout_and_anew_after_an_update():
    layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)
    compute, device = Compute("bf16"), torch.device("cpu")
    with compute.acting(device, 2):
        first = layer(x)
        with compute.autocast(device):
            assert torch.equal(layer(x), first)
    with torch.no_grad():
        layer.weight.zero_()
    with compute.acting(device, 2):
        torch.testing.assert_close(layer(x), layer.bias.bfloat16().expand(2, 4))


def test_the_first_to_arrive_is_drawn_by_the_policy():
    logits = torch.tensor([[0.0, 0.0, 50.0], [50.0, 0.0, 0.0]])
    assert distributions.sample_with_noise(logits, torch.ones(2, 3)).tolist() == [2, 0]
    even = torch.zeros(1, 3)
    assert distributions.sample_with_noise(even, torch.tensor([[2.0, 0.1, 1.0]])).tolist() == [1]
