"""What an agent keeps of the last steps of a game, an entry a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rl_abn.networks.memory import State


class Past(NamedTuple):
    """The last L steps before and at each of B steps.

    Attributes:
        entries: The oldest first and the step's own last, fp32 [B, L, E]; 0 where there was none.
        known: Which of them there were, bool [B, L].
    """

    entries: Tensor
    known: Tensor


class EpisodicStore:
    """Keeps the entries of the last L - 1 steps, which is emptied as an LSTM's state is.

    Its state is two tensors, the entries [n, L - 1, E] and whether they are there, 1 or 0,
    [n, L - 1]; zeros are an empty one.

    Args:
        length: L, steps that can be looked at, with the step itself.
        entry_size: E.
    """

    def __init__(self, length: int, entry_size: int) -> None:
        self.n_before = length - 1
        self.entry_size = entry_size

    def initial_state(self, n: int, device: torch.device) -> State:
        """Returns the empty store of n games."""
        nothing = torch.zeros(n, self.n_before, self.entry_size, device=device)
        return nothing, nothing.new_zeros(n, self.n_before)

    def __call__(
        self, entries: Tensor, state: State | None, reset_mask: Tensor | None = None
    ) -> tuple[Past, State]:
        """Adds the entries of T steps of n games, one after the other.

        Args:
            entries: [T * n, E], all first steps first.
            state: The store before the first step; None is an empty one.
            reset_mask: True where the store is emptied before the step, [T, n]; None is one step,
                without.

        Returns:
            What each step can look at, and the store after the last one.
        """
        n_steps = 1 if reset_mask is None else len(reset_mask)
        steps = entries.float().unflatten(0, (n_steps, -1))  # [T, n, E]
        n_games = steps.shape[1]
        if state is None:
            state = self.initial_state(n_games, entries.device)
        before, there = state
        line = torch.cat([before, steps.transpose(0, 1)], dim=1)  # [n, L - 1 + T, E]
        # How often the store was emptied until a step; entries of another count are forgotten.
        count = torch.zeros(n_games, line.shape[1], dtype=torch.long, device=line.device)
        if reset_mask is not None:
            count[:, self.n_before :] = reset_mask.long().cumsum(dim=0).T
        is_there = torch.cat([there > 0, torch.ones_like(steps[..., 0].T, dtype=torch.bool)], dim=1)
        length = self.n_before + 1
        windows = line.unfold(1, length, 1).transpose(2, 3)  # [n, T, L, E]
        counts = count.unfold(1, length, 1)
        known = is_there.unfold(1, length, 1) & (counts == counts[..., -1:])
        windows = windows * known[..., None]
        past = Past(windows.transpose(0, 1).flatten(0, 1), known.transpose(0, 1).flatten(0, 1))
        return past, (windows[:, -1, 1:], known[:, -1, 1:].float())
