"""Memory: what a network carries from one observation to the next."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_abn.attention import Abilities

MEMORIES = ("none", "convlstm", "lstm")
"""No memory; a ConvLSTM on the features; an LSTM after every perception stage."""

State = tuple[Tensor, Tensor]
"""Output and cell of an LSTM, each [n, H] or [n, H, h, w], in fp32."""


def has_memory(memory: str, abilities: Abilities) -> bool:
    """Returns whether an agent carries a state from step to step.

    Args:
        memory: Its network's, of `MEMORIES`.
        abilities: Its mechanism's, which may look back on its own.
    """
    return memory != "none" or abilities.remembers


class Lstm(nn.Module):
    """A long short-term memory over vectors, or over maps where it has a kernel (ConvLSTM).

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; over maps Shi et al.,
    NeurIPS 2015, without peepholes. One layer makes all four gates from [input, output before],
    in the order input, forget, output, candidate, as in Mask-A3C (Itaya et al., IJCNN 2021).

    Args:
        in_channels: Size of the inputs, or their channels.
        hidden: H, size of the memory, or its channels.
        kernel_size: Odd, for maps; None for vectors.
    """

    def __init__(self, in_channels: int, hidden: int, kernel_size: int | None = None) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.hidden = hidden
        self.gates: nn.Linear | nn.Conv2d
        if kernel_size is None:
            self.gates = nn.Linear(in_channels + hidden, 4 * hidden)
        else:
            self.gates = nn.Conv2d(
                in_channels + hidden, 4 * hidden, kernel_size, padding=kernel_size // 2
            )

    def initial_state(self, n: int, *size: int) -> State:
        """Returns an empty memory of n games, for maps of a size [h, w]."""
        empty = torch.zeros(n, self.hidden, *size, device=self.gates.weight.device)
        return empty, empty.clone()

    def set_own_start(self) -> None:
        """Opens the forget gates, so that a new memory holds on (Jozefowicz et al. 2015)."""
        assert self.gates.bias is not None
        with torch.no_grad():
            self.gates.bias[self.hidden : 2 * self.hidden].fill_(1.0)

    def forward(
        self, inputs: Tensor, state: State | None, reset_mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Runs n sequences of T steps.

        Args:
            inputs: [T * n, in_channels] or [T * n, in_channels, h, w], all first steps first.
            state: What was remembered before the first step; None is nothing.
            reset_mask: True where the memory is emptied before the step, [T, n]; None is one step,
                without.

        Returns:
            Outputs, [T * n, H] or [T * n, H, h, w], and what is remembered now.
        """
        n_steps = 1 if reset_mask is None else len(reset_mask)
        weight = self.gates.weight
        # What the inputs say to the gates needs no order: one pass for all steps.
        driven = self._layer(inputs, weight[:, : self.in_channels], self.gates.bias)
        steps = driven.unflatten(0, (n_steps, -1))
        if state is None:
            state = self.initial_state(steps.shape[1], *steps.shape[3:])
        output, cell = state
        outputs = []
        for t in range(n_steps):
            if reset_mask is not None:
                output, cell = forget((output, cell), reset_mask[t])
            gates = steps[t] + self._layer(output, weight[:, self.in_channels :], None)
            let_in, keep, let_out, candidate = gates.float().chunk(4, dim=1)
            cell = keep.sigmoid() * cell + let_in.sigmoid() * candidate.tanh()
            output = let_out.sigmoid() * cell.tanh()
            outputs.append(output)
        return torch.cat(outputs), (output, cell)

    def _layer(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(self.gates, nn.Linear):
            return F.linear(inputs, weight, bias)
        return F.conv2d(inputs, weight, bias, padding=self.gates.padding)


def forget(state: tuple[Tensor, ...], reset_mask: Tensor) -> tuple[Tensor, ...]:
    """Empties the memory of some games.

    Args:
        state: Tensors [n, ...].
        reset_mask: True for those games, [n].
    """
    return tuple(
        part.masked_fill(reset_mask.bool().view(-1, *[1] * (part.ndim - 1)), 0.0) for part in state
    )
