"""Functions of tensors recorded once and replayed, without a launch a kernel: CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

WARM_UPS = 3


@runtime_checkable
class Recorder(Protocol):
    """Records what a function does with fixed memory."""

    def record(self, function: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Runs a function and returns how to do it again, and the memory its results lie in."""


class CudaRecorder:
    """Records CUDA graphs; needs a GPU."""

    def record(self, function: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Runs a function a few times beside the work in hand, then records it."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = function()
        return graph.replay, results


class Replayed:
    """A function of tensors that is recorded at its first call and replayed at every other.

    It is recorded anew for other shapes. Arguments are copied into memory of its own and results
    are copied out of it, so that no later call changes what an earlier one returned. What else
    the function touches (weights, gradients, a rollout buffer) has to stay where it is in memory;
    gradients do if they are set to zero, not to None.

    Args:
        function: Takes and returns tensors, in tuples or dicts as it likes; must not wait for
            the device, and must compute the same from the same tensors.
        recorder: How it is recorded; None is a CUDA graph.
    """

    def __init__(self, function: Callable[..., Any], recorder: Recorder | None = None) -> None:
        self.function = function
        self._recorder = recorder or CudaRecorder()
        self._recorded: dict[Any, tuple[list[Tensor], Callable[[], None], Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Computes the function."""
        given = _tensors(arguments)
        key = tuple((tensor.shape, tensor.dtype, tensor.stride()) for tensor in given)
        if key not in self._recorded:
            own = _map(_copy_of, arguments)
            replay, results = self._recorder.record(lambda: self.function(*own))
            self._recorded[key] = _tensors(own), replay, results
        memory, replay, results = self._recorded[key]
        for mine, theirs in zip(memory, given, strict=True):
            mine.copy_(theirs, non_blocking=True)
        replay()
        return _map(Tensor.clone, results)


def _map(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Applies a function to every tensor of a tuple, a named tuple, a dict, or nested ones."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: _map(function, item) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [_map(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(lambda tensor: found.append(tensor) or tensor, value)  # type: ignore[func-returns-value]
    return found


def _copy_of(tensor: Tensor) -> Tensor:
    """Copies a tensor with its strides: what is channels-last stays so."""
    return tensor.detach().clone(memory_format=torch.preserve_format)
