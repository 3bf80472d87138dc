"""A share of a minibatch, and what its loss may know of the whole minibatch."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Barrier

import torch
from torch import Tensor

from rl_abn.rl.training.distributed import Ranks


class AllReduce:
    """Adds up what threads bring and gives every thread the sum, their mean over all ranks.

    It is to the threads of a process what `torch.distributed.all_reduce` is to processes: each
    waits for the others. Parts are added in the order of the threads' numbers, so the sum has the
    same bits every time.

    Args:
        n_threads: How many threads bring a part; all have to run at the same time.
        ranks: The processes that train together.
    """

    def __init__(self, n_threads: int, ranks: Ranks) -> None:
        self._ranks = ranks
        self._parts: list[Tensor] = [torch.empty(0)] * n_threads
        self._sum = torch.empty(0)
        self._barrier = Barrier(n_threads, action=self._add)

    def __call__(self, thread: int, part: Tensor) -> Tensor:
        """Returns the sum of all threads' parts.

        Args:
            thread: The number of the one that calls, from 0.
            part: What it brings, of the same shape in all; without a gradient.

        Raises:
            BrokenBarrierError: If another thread has failed.
        """
        self._parts[thread] = part
        self._barrier.wait()
        return self._sum

    def abort(self) -> None:
        """Ends the waiting of all threads, now and later: one of them brings no part any more."""
        self._barrier.abort()

    def _add(self) -> None:
        # In one thread, while all others wait.
        self._sum = self._ranks.mean_(torch.stack(self._parts).sum(dim=0))


@dataclass(frozen=True)
class MinibatchShare:
    """Which part of a minibatch a loss is computed on: of several threads, and of several ranks.

    A minibatch's loss is the mean of its shares' losses, each by its weight. So a loss that is a
    mean over steps can leave the share aside. One of a statistic of the whole minibatch asks for
    it by `mean`, as synchronised batch normalisation does.

    Attributes:
        index: Its number among the shares of this process, from 0.
        count: How many shares this process has.
        weight: Its part of this process's steps, 0..1.
        all_reduce: Shared by all shares; None where this one is the whole minibatch.
    """

    index: int = 0
    count: int = 1
    weight: float = 1.0
    all_reduce: AllReduce | None = None

    @classmethod
    def of_rank(cls, ranks: Ranks) -> MinibatchShare:
        """Returns the share of a process that computes all that is its own at once."""
        return cls(all_reduce=None if ranks.count == 1 else AllReduce(1, ranks))

    @property
    def is_whole(self) -> bool:
        """Whether there is no other share."""
        return self.all_reduce is None

    def mean(self, own: Tensor) -> Tensor:
        """Returns the mean over the whole minibatch of what is a mean over each share's steps.

        Every share has to ask, as often as the others. No gradient flows through it.

        Args:
            own: This share's mean.

        Raises:
            BrokenBarrierError: If another share has failed.
        """
        own = own.detach()
        if self.all_reduce is None:
            return own
        return self.all_reduce(self.index, self.weight * own)
