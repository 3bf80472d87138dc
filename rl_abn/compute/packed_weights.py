"""Networks whose weights are laid out once for many small passes on a CPU, in bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Kernel = Callable[[Tensor], Tensor]


class Packed:
    """The context of passes through a network whose weights stay as they are.

    A pass of a handful of inputs does little but read the weights, and PyTorch lays them out anew
    for oneDNN's kernels every time. In here that is done once, at the first pass, and a rectifier
    runs inside the kernel before it. Results are the same to the bit. Passes with gradients or in
    another dtype run as ever, and so do layers with hooks. It may be entered again and again; what
    was packed is kept until the weights change.

    Args:
        network: What is packed; None, or a machine that cannot, packs nothing.
    """

    def __init__(self, network: nn.Module | None) -> None:
        chains = _chains(network) if network is not None and can_pack() else ()
        self._chains = [(chain, _PackedChain(chain)) for chain in chains]

    def __enter__(self) -> Packed:
        """Puts the packed layers in the others' place."""
        for chain, packed in self._chains:
            packed.forget_old_weights()
            vars(chain)["forward"] = packed  # past nn.Module, which takes longer than a small layer
        return self

    def __exit__(self, *_: object) -> None:
        """Takes them away again."""
        for chain, _packed in self._chains:
            del vars(chain)["forward"]

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Makes a context in which the network is as it was outside."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class _PackedChain:
    """Computes what a layer, or layers one after the other, would."""

    def __init__(self, chain: nn.Module) -> None:
        self._plain = chain.forward
        self._layers = list(_links(chain))
        self._kernels: list[Kernel] = []
        self._packed_from: list[tuple[int, int]] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        """[B, ...] -> [B, ...]."""
        if torch.is_grad_enabled() or inputs.dtype != torch.bfloat16:
            outputs: Tensor = self._plain(inputs)
            return outputs
        if not self._kernels:
            return self._pack(inputs)
        for kernel in self._kernels:
            inputs = kernel(inputs)
        return inputs

    def forget_old_weights(self) -> None:
        """Drops what was packed of weights that have changed since, or lie elsewhere."""
        if self._kernels and self._packed_from != self._weights():
            self._kernels = []

    def _weights(self) -> list[tuple[int, int]]:
        """Returns where each layer's weights lie, and how often they were written to."""
        parameters = (p for layer in self._layers for p in layer._parameters.values())
        return [(p.data_ptr(), p._version) for p in parameters if p is not None]

    def _pack(self, inputs: Tensor) -> Tensor:
        """Chooses the kernels for inputs like these, and computes."""
        self._packed_from = self._weights()
        kernels: list[Kernel] = []
        layers = iter(zip(self._layers, [*self._layers[1:], None], strict=True))
        for layer, follower in layers:
            kernel: Kernel = layer
            if inputs.dtype == torch.bfloat16 and _is_packable(layer):
                then = "relu" if isinstance(follower, nn.ReLU) else "none"
                pack: Any = _convolution if isinstance(layer, nn.Conv2d) else _linear
                kernel = pack(layer, inputs, then)
                if then == "relu":
                    next(layers)
            kernels.append(kernel)
            inputs = kernel(inputs)
        self._kernels = kernels
        return inputs


def _convolution(layer: nn.Conv2d, inputs: Tensor, then: str) -> Kernel:
    how = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
    pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
    weight = pack(layer.weight.bfloat16().to_mkldnn(), *how, list(inputs.shape))
    bias = None if layer.bias is None else layer.bias.bfloat16()
    convolve = torch.ops.mkldnn._convolution_pointwise
    return lambda images: convolve(images, weight, bias, *how, then, [], "")


def _linear(layer: nn.Linear, inputs: Tensor, then: str) -> Kernel:
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.bfloat16(), len(inputs))
    bias = None if layer.bias is None else layer.bias.bfloat16()
    multiply = torch.ops.mkldnn._linear_pointwise
    return lambda vectors: multiply(vectors, weight, bias, then, [], "")


def _chains(module: nn.Module) -> Iterator[nn.Module]:
    """Finds the longest chains of layers in a module."""
    inner: list[nn.Module] = list(module.children())
    if _is_chain(module):
        yield module
        inner = [link for link in _links(module) if not _is_chain(link)]
    for part in inner:
        yield from _chains(part)


def _is_chain(module: nn.Module) -> bool:
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    return (type(module) is nn.Sequential or _is_packable(module)) and not hooked


def _is_packable(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def _links(chain: nn.Module) -> Iterator[nn.Module]:
    """Lists a chain's layers in order, and those of any chain in it."""
    if type(chain) is nn.Sequential:
        for link in chain:
            yield from _links(link)
    else:
        yield chain


def can_pack() -> bool:
    """Returns whether this machine has what PyTorch's compiler calls, no public part of PyTorch."""
    names = (
        "_is_mkldnn_bf16_supported",
        "_reorder_linear_weight",
        "_linear_pointwise",
        "_convolution_pointwise",
    )
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )
