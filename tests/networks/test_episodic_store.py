"""The store of a game's last steps: whole sequences are the same as their steps."""

from __future__ import annotations

import torch

from rl_abn.networks import EpisodicStore, forget

L, E, N, T = 4, 2, 3, 9
CPU = torch.device("cpu")
ENTRIES = torch.randn(T, N, E, generator=torch.Generator().manual_seed(0))


def test_a_step_sees_itself_and_the_last_ones() -> None:
    store = EpisodicStore(L, E)
    past, _ = store(ENTRIES.flatten(0, 1), None, torch.zeros(T, N, dtype=torch.bool))
    entries, known = (part.unflatten(0, (T, N)) for part in past)
    for t in range(T):
        first = max(t - L + 1, 0)
        assert torch.equal(
            entries[t, :, L - 1 - t + first :], ENTRIES[first : t + 1].swapaxes(0, 1)
        )
        assert known[t].sum(dim=1).tolist() == [min(t + 1, L)] * N
        assert not entries[t][~known[t]].any()


def test_nothing_is_left_of_before_a_reset() -> None:
    store = EpisodicStore(L, E)
    reset = torch.zeros(T, N, dtype=torch.bool)
    reset[5, 1] = True
    _, known = store(ENTRIES.flatten(0, 1), None, reset)[0]
    assert known.unflatten(0, (T, N)).sum(dim=2)[4:8].T.tolist() == [
        [4, 4, 4, 4],
        [4, 1, 2, 3],
        [4, 4, 4, 4],
    ]


def test_a_sequence_is_the_same_as_its_steps() -> None:
    store = EpisodicStore(L, E)
    reset = torch.rand(T, N, generator=torch.Generator().manual_seed(1)) < 0.2
    assert reset[1:].any()
    for first in (0, 3):  # from the beginning, and from a state
        state = store.initial_state(N, CPU)
        for t in range(first):
            _, state = store(ENTRIES[t], forget(state, reset[t]))
        whole, last = store(ENTRIES[first:].flatten(0, 1), state, reset[first:])
        entries, known = (part.unflatten(0, (T - first, N)) for part in whole)
        for t in range(first, T):
            past, state = store(ENTRIES[t], forget(state, reset[t]))
            assert torch.equal(past.entries, entries[t - first])
            assert torch.equal(past.known, known[t - first])
        for mine, expected in zip(last, state, strict=True):
            assert torch.equal(mine, expected)


def test_a_store_of_one_step_keeps_nothing() -> None:
    past, state = EpisodicStore(1, E)(ENTRIES[0], None)
    assert torch.equal(past.entries, ENTRIES[0][:, None])
    assert state[0].shape == (N, 0, E)


def test_gradients_reach_the_entries_of_a_sequence() -> None:
    entries = ENTRIES.flatten(0, 1).requires_grad_()
    past, _ = EpisodicStore(L, E)(entries, None, torch.zeros(T, N, dtype=torch.bool))
    past.entries[-1].sum().backward()  # the last step of the last game
    assert entries.grad is not None
    steps = entries.grad.unflatten(0, (T, N)).abs().sum(dim=2)
    assert (steps > 0)[:, N - 1].tolist() == [False] * (T - L) + [True] * L
    assert not steps[:, : N - 1].any()
