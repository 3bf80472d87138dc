"""The one place that decides device, dtype and memory layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from rl_abn.compute.cuda_graph import Replayed
from rl_abn.compute.packed_weights import Packed

Precision = Literal["fp32", "bf16"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)
ResultT = TypeVar("ResultT")
Pause = AbstractContextManager[None]


# Up to here one thread is as fast as two or faster (two cores, nature and impala networks).
ONE_THREAD_BATCH = 32


@dataclass(frozen=True)
class Compute:
    """How a network computes.

    Attributes:
        precision: "fp32" is the deterministic default; "bf16" runs convolutions and matrix
            products in bfloat16 under autocast and keeps weights and losses in fp32.
        channels_last: Whether images lie in memory as NHWC. About twice as fast for
            convolutions on a CPU.
        compiled: Whether `torch.compile` makes kernels of a network's parts.
        graphs: Whether a GPU replays recorded CUDA graphs; nothing changes on a CPU.
    """

    precision: Precision = "fp32"
    channels_last: bool = True
    compiled: bool = False
    graphs: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of images and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def prepare(self, module: ModuleT) -> ModuleT:
        """Lays a module's weights out in the memory format; in place."""
        return module.to(memory_format=self.memory_format)  # type: ignore[call-overload,no-any-return]

    def compile(self, *modules: nn.Module) -> None:
        """Compiles modules where they are, if that is wanted; their state dicts stay the same."""
        for module in modules if self.compiled else ():
            module.compile()

    def replay(
        self, function: Callable[..., ResultT], device: torch.device
    ) -> Callable[..., ResultT]:
        """Returns a function of tensors that replays a CUDA graph, where that is wanted."""
        return Replayed(function) if self.replays(device) else function

    def replays(self, device: torch.device) -> bool:
        """Returns whether a device replays graphs."""
        return self.graphs and device.type == "cuda"

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Returns the context a forward pass runs in.

        A pass with gradients casts a weight wherever it is used. Autocast's cache of cast weights
        is one for all threads, and whichever leaves autocast first empties it: a weight used at
        every step of a sequence would be cast once or twice as the threads happen to run, and its
        gradient rounded differently.
        """
        if self.precision == "fp32":
            return nullcontext()
        cached = not torch.is_grad_enabled()
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=cached)

    @contextmanager
    def acting(
        self, device: torch.device, batch: int, network: nn.Module | Packed | None = None
    ) -> Iterator[Callable[[], Pause]]:
        """Returns the context of many small forward passes with the same weights.

        No gradients; weights are cast to the precision once, not at every pass. On a CPU a
        handful of observations is too little work to share: threads cost more than they bring.

        Args:
            device: Where the network runs.
            batch: Observations in a pass.
            network: Its weights are packed, which pays from a few passes on; those that `packed`
                returned stay packed from one context to the next; None packs none.

        Yields:
            Makes a context that is as it was outside, for others' code in between.
        """
        n_threads = torch.get_num_threads()
        few = device.type == "cpu" and batch <= ONE_THREAD_BATCH
        try:
            if few:
                torch.set_num_threads(1)
            # A graph casts inside: it could not see a cast made outside change.
            cast = nullcontext() if self.replays(device) else self.autocast(device)
            packed = network if isinstance(network, Packed) else self.packed(network, device)
            with torch.no_grad(), cast, packed as weights:
                yield partial(_paused, device, n_threads, weights)
        finally:
            if few:
                torch.set_num_threads(n_threads)

    def packed(self, network: nn.Module | None, device: torch.device) -> Packed:
        """Returns a network's packed weights, for contexts of `acting` one after the other."""
        # What is compiled would be compiled anew for every packing.
        packs = device.type == "cpu" and self.precision == "bf16" and not self.compiled
        return Packed(network if packs else None)

    def images(
        self, pixels: UInt8[Tensor, "B C H W"] | Float[Tensor, "B C H W"], *, normalize: bool = True
    ) -> Float[Tensor, "B C H W"]:
        """Turns observations into network input, in this layout and precision.

        Args:
            pixels: [B, C, H, W]; not changed.
            normalize: Whether they are 0..255 and become 0..1; False leaves their values alone.
        """
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        images = pixels.to(dtype).contiguous(memory_format=self.memory_format)
        if not normalize:
            return images
        return images.mul_(1 / 255) if pixels.dtype != dtype else images / 255


@contextmanager
def _paused(device: torch.device, n_threads: int, weights: Packed) -> Iterator[None]:
    n_inside = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with weights.lifted(), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_num_threads(n_inside)


def choose_device(name: str) -> torch.device:
    """Returns the device of a name, "auto" being the GPU where there is one.

    Raises:
        ValueError: If the name means no device, or one this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got '{name}'")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count() or "no"
        raise ValueError(
            f"expected a device of this machine, got '{name}': {seen} CUDA GPU visible"
        )
    return torch.device(name)
