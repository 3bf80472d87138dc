"""Synchronous data parallelism: several processes train one agent."""

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
    """This process's rank and the number of ranks; a single rank unless started by `torchrun`.

    A recipe's counts (games, batch size) are totals over all ranks. All ranks draw the same random
    numbers and use their share of them. So the number of ranks changes only rounding and which
    steps share a minibatch.

    Attributes:
        rank: From 0; only rank 0 writes files and prints.
        count: Number of ranks.
        local_rank: Rank on this machine.
        local_count: Number of ranks on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of_environment(cls) -> Ranks:
        """Reads the environment variables that `torchrun` sets.

        Raises:
            RlAbnError: If they are invalid, or do not say where the other ranks are.
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
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
        if ranks.count > 1 and missing:
            raise RlAbnError(
                f"expected {' and '.join(missing)} beside RANK and WORLD_SIZE, as torchrun sets "
                "them, got none; to train in one process unset RANK and WORLD_SIZE"
            )
        return ranks

    def join(self, device: torch.device) -> None:
        """Joins the process group: NCCL on GPUs, gloo on CPUs."""
        if self.count == 1 or distributed.is_initialized():
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def leave(self) -> None:
        """Leaves the process group."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def device(self, name: str) -> str:
        """Returns this rank's device; for "auto" and "cuda" each rank gets its own GPU."""
        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank}"
        return name

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, total: int, what: str) -> slice:
        """Returns this rank's slice of a total.

        Raises:
            RlAbnError: If the number of ranks does not divide it.
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
        """Replaces gradients by their mean over all ranks, in one all-reduce."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = self.mean_(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, means.split(sizes), strict=True):
            gradient.copy_(mean.view(gradient.shape))  # keeps the gradient's own memory format

    def mean_(self, tensor: Tensor) -> Tensor:
        """Replaces a tensor by its mean over all ranks and returns it."""
        if self.count > 1:
            distributed.all_reduce(tensor)
            tensor /= self.count
        return tensor

    def normalise(self, values: Tensor, eps: float = 1e-8) -> Tensor:
        """Normalises values [B] over all ranks to mean 0 and deviation 1; B is equal on all.

        A single value has no deviation, and stays as it is.
        """
        n = len(values) * self.count
        if n == 1:
            return values
        if self.count == 1:
            return (values - values.mean()) / (values.std() + eps)
        centred = values - self.mean_(values.mean())
        variance = self.mean_(centred.square().mean()) * n / (n - 1)
        return centred / (variance.sqrt() + eps)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Returns whether the flag is true on any rank."""
        if self.count == 1:
            return flag
        return bool(self.mean_(torch.tensor(float(flag), device=device)) > 0)

    def broadcast(self, function: Callable[[], ResultT]) -> ResultT:
        """Calls a function on rank 0 only and returns its result on all ranks.

        If it fails on rank 0, the other ranks exit silently with status 2.

        Raises:
            RlAbnError: On rank 0, as the function raised it.
        """
        if self.count == 1:
            return function()
        message: list[Any] = [False, None]  # whether it succeeded, its result
        try:
            if self.is_main:
                message = [True, function()]
        finally:
            distributed.broadcast_object_list(message)
        if not message[0]:
            sys.exit(2)
        result: ResultT = message[1]
        return result
