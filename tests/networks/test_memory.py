import pytest
import torch

from rl_abn.networks import Lstm, forget


def reference(memory):
    """Returns PyTorch's own cell with the same weights; its gates come in the order i, f, g, o."""
    cell = torch.nn.LSTMCell(memory.in_channels, memory.hidden)
    weight, bias = memory.gates.weight, memory.gates.bias
    order = [
        part for i in (0, 1, 3, 2) for part in range(i * memory.hidden, (i + 1) * memory.hidden)
    ]
    with torch.no_grad():
        cell.weight_ih.copy_(weight[order, : memory.in_channels])
        cell.weight_hh.copy_(weight[order, memory.in_channels :])
        cell.bias_ih.copy_(bias[order])
        cell.bias_hh.zero_()
    return cell


def test_an_lstm_is_that_of_pytorch():
    memory = Lstm(5, 3)
    cell, inputs = reference(memory), torch.randn(4, 2, 5)
    state = torch.randn(2, 3), torch.randn(2, 3)
    outputs, (_, last) = memory(inputs.flatten(0, 1), state, torch.zeros(4, 2, dtype=torch.bool))
    for t in range(4):
        state = cell(inputs[t], state)
        torch.testing.assert_close(outputs.view(4, 2, 3)[t], state[0])
    torch.testing.assert_close(last, state[1])


def test_a_convlstm_with_one_place_is_an_lstm():
    memory, maps = Lstm(5, 3), Lstm(5, 3, kernel_size=1)
    with torch.no_grad():
        maps.gates.weight.copy_(memory.gates.weight[:, :, None, None])
        maps.gates.bias.copy_(memory.gates.bias)
    inputs, reset_mask = torch.randn(6, 5), torch.zeros(3, 2)
    expected, _ = memory(inputs, None, reset_mask)
    found, _ = maps(inputs[:, :, None, None], None, reset_mask)
    torch.testing.assert_close(found[:, :, 0, 0], expected)


def test_a_convlstm_sees_the_places_around():
    memory = Lstm(2, 3, kernel_size=3)
    inputs = torch.zeros(2, 2, 7, 7)
    inputs[0, :, 3, 3] = 1.0
    reset_mask = torch.zeros(2, 1)
    outputs, _ = memory(inputs, None, reset_mask)
    blank, _ = memory(torch.zeros_like(inputs), None, reset_mask)
    touched = (outputs != blank).any(dim=1)
    assert touched[0].nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]
    assert touched[1].sum() == 25  # a step later a place farther


@pytest.mark.parametrize("kernel_size", [None, 3])
def test_after_a_restart_nothing_is_known_of_what_came_before(kernel_size):
    memory = Lstm(2, 4, kernel_size)
    size = () if kernel_size is None else (5, 5)
    inputs = torch.randn(3, 2, 2, *size)  # three steps of two games
    reset_mask = torch.tensor([[False, False], [False, True], [False, False]])
    outputs, _ = memory(inputs.flatten(0, 1), None, reset_mask)
    anew, _ = memory(inputs[1:].flatten(0, 1), None, reset_mask[1:])
    outputs, anew = outputs.unflatten(0, (3, 2)), anew.unflatten(0, (2, 2))
    torch.testing.assert_close(outputs[1:, 1], anew[:, 1])
    assert not torch.allclose(outputs[1, 0], anew[0, 0])


def test_memory_is_forgotten_by_game():
    state = torch.ones(3, 2), torch.ones(3, 2, 4, 4)
    for part in forget(state, torch.tensor([False, True, False])):
        assert part.flatten(1).any(dim=1).tolist() == [True, False, True]


def test_a_new_memory_holds_on():
    memory = Lstm(2, 4)
    with torch.no_grad():
        memory.gates.weight.zero_()
        memory.gates.bias.zero_()
    memory.set_own_start()
    _, (_, cell) = memory(torch.zeros(1, 2), (torch.zeros(1, 4), torch.ones(1, 4)))
    torch.testing.assert_close(cell, torch.full((1, 4), torch.tensor(1.0).sigmoid().item()))
