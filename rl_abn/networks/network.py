"""What every network offers."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

_LARGEST_TRIED = 128


@runtime_checkable
class HasOwnStart(Protocol):
    """A module with first weights of its own, set once all layers are initialised."""

    def set_own_start(self) -> None:
        """Sets them."""


class Network(Protocol):
    """A trunk cut in two at the place where attention attaches.

    Attributes:
        attention_at: The map sizes there are to choose from, for 84x84 observations; the first
            is the default.
    """

    attention_at: ClassVar[tuple[int, ...]]

    def __init__(
        self, in_shape: tuple[int, int, int], attention_at: int, *, layer_norm: bool = False
    ) -> None:
        """Plans the network for observations [C, H, W] and a map of `attention_at` squared.

        `layer_norm` normalises what the fully connected layer puts out.
        """

    @property
    def features_dim(self) -> int:
        """Size of what the perception stage puts out."""

    def extractor(self) -> nn.Module:
        """Builds the layers before the split: [B, C, H, W] -> [B, channels, h, w]."""

    def branch_body(self, channels: int) -> nn.Module:
        """Builds the layers an attention branch starts with: [B, channels, h, w], same size."""

    def before_gate(self, channels: int) -> nn.Module:
        """Builds what a perception stage does before its gate: [B, channels, h, w], same h and w.

        It is part of the stage: with a map each, policy and value have one each.
        """

    def perception(self) -> nn.Module:
        """Builds the layers after the gate: [B, gated channels, h, w] -> [B, features_dim]."""


def fully_connected(n_in: int, n_out: int, layer_norm: bool) -> list[nn.Module]:
    """Builds a fully connected layer and its rectifier, normalised between them if wanted."""
    return [
        nn.Linear(n_in, n_out),
        *([nn.LayerNorm(n_out)] if layer_norm else []),
        nn.ReLU(),
    ]


def trace_shape(module: nn.Module, in_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape, without the batch, of what a module makes of one sample.

    Raises:
        ValueError: If the sample is too small for the module's layers.
    """
    with torch.no_grad():
        try:
            return tuple(module(torch.zeros(1, *in_shape)).shape[1:])
        except RuntimeError:
            raise ValueError(f"observations of shape {in_shape} are too small for it") from None


def check_size(network: type[Network], in_shape: tuple[int, int, int], attention_at: int) -> None:
    """Raises ValueError, with the least size, if observations are too small for a network."""
    check_attention_at(network, attention_at)
    if _takes(network, in_shape, attention_at):
        return
    channels = in_shape[0]
    sides = (s for s in range(1, _LARGEST_TRIED) if _takes(network, (channels, s, s), attention_at))
    least = next(sides, _LARGEST_TRIED)
    raise ValueError(
        f"expected observations [C, H, W] of at least [{channels}, {least}, {least}], "
        f"got {list(in_shape)}"
    )


def _takes(network: type[Network], in_shape: tuple[int, int, int], attention_at: int) -> bool:
    """Returns whether all layers have something to work on; draws no random numbers."""
    try:
        with torch.random.fork_rng(devices=[]):
            plan = network(in_shape, attention_at)
            trace_shape(plan.extractor(), in_shape)
            plan.perception()
    except ValueError:
        return False
    return True


def check_attention_at(network: type[Network], attention_at: int) -> None:
    """Raises ValueError unless the network can attach attention at a map of that size."""
    if attention_at not in network.attention_at:
        raise ValueError(f"expected attention_at of {network.attention_at}, got {attention_at}")
