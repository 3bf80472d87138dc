"""Threads that share a minibatch: on a CPU two small passes side by side beat one large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from typing import TypeVar

import torch
from torch import Tensor, nn

from rl_abn.rl.algorithms.losses.auxiliary import LossTerms

BatchT = TypeVar("BatchT")


class MinibatchThreads:
    """Computes the gradients of a mean loss, each thread on its share of the minibatch.

    A thread computes with one core, so that nothing waits at the end of every small operation.
    The shares and the order in which they are added do not change from run to run.

    Args:
        count: How many threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1))

    def gradients(
        self,
        loss: Callable[[BatchT], LossTerms],
        shares: Sequence[tuple[float, BatchT]],
        parameters: Sequence[nn.Parameter],
    ) -> dict[str, Tensor]:
        """Puts the gradients of the whole minibatch's mean loss into the parameters.

        Args:
            loss: The mean loss of a share, and its terms by name, themselves means.
            shares: Each share and its weight; weights sum to 1.
            parameters: What the loss depends on.

        Returns:
            The terms' means over the whole minibatch.
        """

        def learn(
            share: tuple[float, BatchT],
        ) -> tuple[tuple[Tensor | None, ...], dict[str, Tensor]]:
            weight, batch = share
            value, terms = loss(batch)
            gradients = torch.autograd.grad(weight * value, parameters, allow_unused=True)
            return gradients, {name: weight * term.detach() for name, term in terms.items()}

        all_gradients, all_terms = zip(*self._pool.map(learn, shares), strict=True)
        for parameter, *parts in zip(parameters, *all_gradients, strict=True):
            found = [part for part in parts if part is not None]
            parameter.grad = _total(found, like=parameter) if found else None
        return {
            name: torch.stack([terms[name] for terms in all_terms]).sum() for name in all_terms[0]
        }


def _total(gradients: Sequence[Tensor], like: nn.Parameter) -> Tensor:
    """Adds gradients up in their weight's memory format, which fused optimizers count on."""
    total = reduce(torch.add, gradients)
    if total is gradients[0] or total.stride() != like.stride():
        return torch.empty_like(like).copy_(total)
    return total
