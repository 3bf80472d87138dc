"""Several processes that train one agent: synchronous data parallelism."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from rl_abn.errors import RlAbnError

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that train together; alone unless `torchrun` says more.

    A recipe's counts (games, batch size) are those of all ranks together, and all ranks draw the
    same random numbers and take their share of them: the number of ranks changes what a training
    computes by rounding only, and by which steps meet in a minibatch.

    Attributes:
        rank: From 0; rank 0 alone writes and talks.
        count: How many there are.
        local_rank: Which of those on this machine.
        local_count: How many are on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of_environment(cls) -> Ranks:
        """Reads the place `torchrun` gave this process.

        Raises:
            RlAbnError: If its variables make no sense.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        values = [
            os.environ.get(name, default) for name, default in zip(names, "0101", strict=True)
        ]
        try:
            ranks = cls(*map(int, values))
            sound = 0 <= ranks.rank < ranks.count and 0 <= ranks.local_rank < ranks.local_count
        except ValueError:
            sound = False
        if not sound:
            got = " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
            raise RlAbnError(f"expected the environment that torchrun sets, got {got}")
        return ranks

    def join(self, device: torch.device) -> None:
        """Meets the others: by NCCL on GPUs, by gloo on CPUs."""
        if self.count == 1 or distributed.is_initialized():
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def leave(self) -> None:
        """Parts from the others."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def device(self, name: str) -> str:
        """Returns this rank's device for a name: "auto" and "cuda" are a GPU each."""
        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank}"
        return name

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, total: int, what: str) -> slice:
        """Returns this rank's part of a count.

        Raises:
            RlAbnError: If the ranks do not divide it.
        """
        if total % self.count:
            near = max(n for n in range(1, self.count) if total % n == 0)
            raise RlAbnError(
                f"expected a number of ranks that divides {what} = {total}, got {self.count}; "
                f"the nearest below is {near}"
            )
        each = total // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces gradients by their mean over all ranks, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = self.mean_(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, means.split(sizes), strict=True):
            gradient.copy_(mean.view(gradient.shape))  # keeps the gradient's own memory format

    def mean_(self, tensor: Tensor) -> Tensor:
        """Replaces a tensor by its mean over all ranks, and returns it."""
        if self.count > 1:
            distributed.all_reduce(tensor)
            tensor /= self.count
        return tensor

    def normalise(self, values: Tensor, eps: float = 1e-8) -> Tensor:
        """Gives values [B], the same number on every rank, mean 0 and deviation 1 over all."""
        if self.count == 1:
            return (values - values.mean()) / (values.std() + eps)
        n = len(values) * self.count
        centred = values - self.mean_(values.mean())
        variance = self.mean_(centred.square().mean()) * n / (n - 1)
        return centred / (variance.sqrt() + eps)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Returns whether any rank says so."""
        if self.count == 1:
            return flag
        return bool(self.mean_(torch.tensor(float(flag), device=device)) > 0)

    def broadcast(self, function: Callable[[], ResultT]) -> ResultT:
        """Calls a function on rank 0 alone and returns its result everywhere.

        Where it fails on rank 0 the others exit quietly with the same status.

        Raises:
            RlAbnError: On rank 0, what the function raised.
        """
        if self.count == 1:
            return function()
        word: list[Any] = [False, None]
        try:
            if self.is_main:
                word = [True, function()]
        finally:
            distributed.broadcast_object_list(word)
        if not word[0]:
            sys.exit(2)
        result: ResultT = word[1]
        return result
