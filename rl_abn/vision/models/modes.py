"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Afterwards every module is in the mode, training or evaluation, that it was in."""
    were = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in were:
            module.training = training


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The whole network in evaluation mode."""
    with modes_kept(network):
        network.eval()
        yield
