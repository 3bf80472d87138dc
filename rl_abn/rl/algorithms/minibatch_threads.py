"""Threads that share a minibatch: on a CPU two small passes side by side beat one large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial, reduce
from threading import BrokenBarrierError
from typing import TypeVar

import torch
from torch import Tensor, nn

from rl_abn.rl.algorithms.losses.auxiliary import LossTerms
from rl_abn.rl.algorithms.minibatch_share import AllReduce, MinibatchShare
from rl_abn.rl.training.distributed import Ranks

BatchT = TypeVar("BatchT")


class MinibatchThreads:
    """Computes the gradients of a mean loss, each thread on its share of the minibatch.

    A thread computes with one core, so that nothing waits at the end of every small operation.
    The shares and the order in which they are added do not change from run to run.

    Args:
        count: How many threads.
        ranks: The processes that train together, each with threads of its own.
    """

    def __init__(self, count: int, ranks: Ranks | None = None) -> None:
        self.count = count
        self._ranks = ranks or Ranks()
        self._pool = ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1))

    def gradients(
        self,
        loss: Callable[[BatchT, MinibatchShare], LossTerms],
        shares: Sequence[tuple[float, BatchT]],
        parameters: Sequence[nn.Parameter],
    ) -> dict[str, Tensor]:
        """Puts the gradients of the whole minibatch's mean loss into the parameters.

        Args:
            loss: The mean loss of a share, and its terms by name, themselves means.
            shares: The steps of each share and its weight, at most a share for each thread;
                weights sum to 1.
            parameters: What the loss depends on; those that are frozen get no gradient.

        Returns:
            The terms' means over the whole minibatch.
        """
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        alone = len(shares) == self._ranks.count == 1
        all_reduce = None if alone else AllReduce(len(shares), self._ranks)

        def learn(
            index: int, weight: float, batch: BatchT
        ) -> tuple[tuple[Tensor | None, ...], dict[str, Tensor]]:
            try:
                value, terms = loss(batch, MinibatchShare(index, len(shares), weight, all_reduce))
                gradients = torch.autograd.grad(weight * value, learned, allow_unused=True)
            except BaseException:
                if all_reduce is not None:
                    all_reduce.abort()
                raise
            return gradients, {name: weight * term.detach() for name, term in terms.items()}

        # All at once: they wait for each other where a loss is of the whole minibatch.
        started = [self._pool.submit(learn, i, *share) for i, share in enumerate(shares)]
        wait(started)
        errors = [error for share in started if (error := share.exception()) is not None]
        if errors:  # those that waited for the one that failed say less
            raise min(errors, key=lambda error: isinstance(error, BrokenBarrierError))
        all_gradients, all_terms = zip(*(share.result() for share in started), strict=True)
        for parameter in parameters:
            parameter.grad = None
        for parameter, *parts in zip(learned, *all_gradients, strict=True):
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
