"""A minibatch that threads or ranks share has the loss and the gradients of the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace

import pytest
import torch

from rl_abn.rl.algorithms.losses import EditedMaps, MapInformation
from rl_abn.rl.algorithms.minibatch_share import AllReduce, MinibatchShare
from rl_abn.rl.algorithms.minibatch_threads import MinibatchThreads
from rl_abn.rl.training.distributed import Ranks
from tests.rl.conftest import SIZE, PatchSignal, make_algorithm, make_probe


def at_once(n, function):
    """Calls a function with 0 … n - 1 at the same time and returns its results."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(function, range(n)))


def test_all_threads_get_the_sum_round_after_round():
    all_reduce = AllReduce(3, Ranks())

    def rounds(thread):
        return [all_reduce(thread, torch.tensor(10.0**thread * i)).item() for i in range(50)]

    assert at_once(3, rounds) == [[111.0 * i for i in range(50)]] * 3


class RanksAsThreads(Ranks):
    """Ranks that are threads of one process: they meet without a process group."""

    met, brought, mean = Barrier(2), {}, None

    def mean_(self, tensor):
        self.brought[self.rank] = tensor
        self.met.wait()
        mean = (self.brought[0] + self.brought[1]) / 2
        self.met.wait()
        return mean


def test_the_mean_is_of_all_threads_of_all_ranks():
    all_reduces = [AllReduce(2, RanksAsThreads(rank, 2)) for rank in range(2)]
    values, weights = torch.tensor([[1.0, 5.0], [2.0, 8.0]]), (0.25, 0.75)

    def mean(i):
        rank, thread = divmod(i, 2)
        share = MinibatchShare(thread, 2, weights[thread], all_reduces[rank])
        return share.mean(values[rank, thread]).item()

    assert at_once(4, mean) == [pytest.approx((0.25 * 3 + 0.75 * 13) / 2)] * 4


def test_a_share_that_is_all_changes_nothing():
    value = torch.rand(3, requires_grad=True)
    for share in (MinibatchShare(), MinibatchShare.of_rank(Ranks())):
        assert share.is_whole
        assert torch.equal(share.mean(value), value)
        assert not share.mean(value).requires_grad


def rollout(**kwargs):
    """An agent with a full rollout of 256 steps."""
    policy = {"mechanism": "mask", "maps": "split", "branch_answers": False}
    model = make_algorithm("ppo", make_probe(PatchSignal), policy_kwargs=policy, **kwargs)
    for parameter in model.policy.mechanism.parameters():  # maps that differ from moment to moment
        torch.nn.init.normal_(parameter)
    model._setup_learn(10_000)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 32)
    return model


def learned(model, threads, indices):
    """The logged terms and the gradients, of so many threads; 0 is none beside the first."""
    model._threads = MinibatchThreads(threads) if threads else None
    terms = model.accumulate_gradients(indices, torch.tensor(0.2))
    return terms, [parameter.grad for parameter in model.policy.parameters()]


@pytest.mark.parametrize("batch", [64, 7])
def test_what_maps_say_of_their_moment_does_not_depend_on_the_threads(batch):
    model = rollout(auxiliary_losses=[MapInformation(10.0)])
    indices = torch.randperm(256)[:batch]
    terms, gradients = learned(model, 0, indices)
    assert terms["map_information"] > 0.01
    for threads in (1, 2, 4):
        shared, found = learned(model, threads, indices)
        for name in ("loss", "map_information"):
            torch.testing.assert_close(shared[name], terms[name], atol=1e-5, rtol=1e-5)
        for gradient, expected in zip(found, gradients, strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4)


def test_what_maps_say_of_their_moment_does_not_depend_on_the_ranks():
    maps = torch.rand(12, 2, 6, 6)
    loss = MapInformation(0.5)

    def computed(share, own):
        own = own.clone().requires_grad_()
        samples = SimpleNamespace(share=share)
        weighted, terms = loss(None, SimpleNamespace(map=own), samples, None)
        return terms["map_information"], torch.autograd.grad(weighted, own)[0]

    whole, gradient = computed(MinibatchShare(), maps)
    halves = at_once(
        2, lambda rank: computed(MinibatchShare.of_rank(RanksAsThreads(rank, 2)), maps[rank::2])
    )
    torch.testing.assert_close((halves[0][0] + halves[1][0]) / 2, whole)
    for rank, (_, own) in enumerate(halves):
        torch.testing.assert_close(own / 2, gradient[rank::2])  # ranks' gradients are averaged


class FailsInOneThread(MapInformation):
    """Fails where the share is the second; the first waits for it."""

    def __call__(self, policy, output, samples, objective):
        if samples.share.index == 1:
            raise ZeroDivisionError("the second share")
        return super().__call__(policy, output, samples, objective)


def test_the_error_of_one_thread_reaches_the_caller_and_none_waits():
    model = rollout(auxiliary_losses=[FailsInOneThread(1.0)])
    for _ in range(2):  # the threads are there for the next minibatch
        with pytest.raises(ZeroDivisionError, match="the second share"):
            learned(model, 3, torch.arange(64))


def test_a_thread_that_comes_after_a_failure_does_not_wait():
    all_reduce = AllReduce(2, Ranks())
    all_reduce.abort()
    with pytest.raises(BrokenBarrierError):
        all_reduce(0, torch.zeros(()))


@pytest.mark.parametrize("n_edits", [3, 5])
def test_threads_see_each_edited_observation_once(n_edits, monkeypatch):
    pictures = torch.randint(0, 256, (n_edits, 2, SIZE, SIZE), dtype=torch.uint8)
    edited = EditedMaps(pictures, torch.rand(n_edits, 2, 6, 6), torch.tensor(2.0))
    model = rollout(auxiliary_losses=[edited])
    indices = torch.arange(64)
    terms, gradients = learned(model, 0, indices)
    seen, attend = [], model.policy.attend
    monkeypatch.setattr(
        model.policy,
        "attend",
        lambda obs, *args, **kwargs: seen.append(len(obs)) or attend(obs, *args, **kwargs),
    )
    for threads in (2, 4):
        seen.clear()
        shared, found = learned(model, threads, indices)
        assert sum(seen) == 64 + n_edits
        torch.testing.assert_close(shared["map_loss"], terms["map_loss"])
        torch.testing.assert_close(shared["loss"], terms["loss"])
        for gradient, expected in zip(found, gradients, strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


def test_frozen_weights_get_no_gradient_in_threads_either():
    model = rollout(auxiliary_losses=[])
    frozen = list(model.policy.features_extractor.parameters())
    learned(model, 0, torch.arange(64))
    for parameter in frozen:
        parameter.requires_grad_(False)
    terms, gradients = learned(model, 0, torch.arange(64))
    shared, found = learned(model, 2, torch.arange(64))
    torch.testing.assert_close(shared["loss"], terms["loss"])
    assert [g is None for g in found] == [g is None for g in gradients]
    assert all(parameter.grad is None for parameter in frozen)
    assert model.trunk_gradients(64) == {}
