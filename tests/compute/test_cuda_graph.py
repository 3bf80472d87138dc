"""Recording and replaying."""

from typing import NamedTuple

import torch
from torch import nn

from rl_abn.compute.cuda_graph import Replayed
from tests.fixed_memory import FixedMemory


class Pair(NamedTuple):
    double: torch.Tensor
    state: torch.Tensor | None


def test_replays_compute_what_the_function_does():
    recorder = FixedMemory()
    function = Replayed(lambda x, y: {"sum": x + y, "pair": Pair(2 * x, None)}, recorder)
    for _ in range(3):
        x, y = torch.randn(4), torch.randn(4)
        result = function(x, y)
        assert torch.equal(result["sum"], x + y)
        assert torch.equal(result["pair"].double, 2 * x)
        assert result["pair"].state is None
    assert recorder.recorded == 1


def test_a_later_call_does_not_change_what_an_earlier_one_returned():
    function = Replayed(lambda x: x + 1, FixedMemory())
    first = function(torch.zeros(2))
    function(torch.full((2,), 9.0))
    assert first.tolist() == [1, 1]


def test_the_callers_tensor_is_read_at_every_call_and_never_written():
    x = torch.zeros(2)
    function = Replayed(lambda t: t.add_(1), FixedMemory())
    function(x)
    assert x.tolist() == [0, 0]
    x.fill_(5)
    assert function(x).tolist() == [6, 6]


def test_another_shape_or_layout_is_recorded_anew():
    recorder = FixedMemory()
    function = Replayed(lambda x: x.sum(), recorder)
    image = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(function(image), image.sum())
    function(image.contiguous(memory_format=torch.channels_last))
    function(torch.randn(2, 3, 4, 4))
    assert recorder.recorded == 3


def test_gradients_of_a_replay_are_those_of_its_own_arguments():
    """The pattern of training: gradients are set to zero, where they are."""
    layer = nn.Linear(3, 1)

    def gradients(x):
        layer.zero_grad(set_to_none=False)
        loss = layer(x).square().sum()
        loss.backward()
        return {"loss": loss.detach()}

    replayed = Replayed(gradients, FixedMemory())
    for n in (5, 2, 5, 2):
        x = torch.randn(n, 3)
        loss = replayed(x)["loss"]
        mine = layer.weight.grad.clone()
        torch.testing.assert_close(loss, gradients(x)["loss"])
        torch.testing.assert_close(mine, layer.weight.grad)


def test_weights_changed_in_place_are_seen():
    layer = nn.Linear(2, 1, bias=False)
    function = Replayed(layer, FixedMemory())
    x = torch.ones(1, 2)
    function(x)
    with torch.no_grad():
        layer.weight.fill_(3.0)
    assert function(x).item() == 6.0
