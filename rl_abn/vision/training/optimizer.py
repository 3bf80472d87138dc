"""The optimizer of a recipe, and its learning rate over the training."""

from __future__ import annotations

import math

import torch
from torch import nn

from rl_abn.recipes.vision import OptimizerTable


def make_optimizer(network: nn.Module, table: OptimizerTable) -> torch.optim.Optimizer:
    """Makes the optimizer of all parameters; weights of every kind decay, as in the papers."""
    # Fused: one pass over the weights, on a CPU too.
    if table.name == "adam":
        return torch.optim.Adam(
            network.parameters(),
            lr=table.learning_rate,
            weight_decay=table.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=table.learning_rate,
        momentum=table.momentum,
        nesterov=table.nesterov,
        weight_decay=table.weight_decay,
        fused=True,
    )


def learning_rate(table: OptimizerTable, done: float, epochs: int) -> float:
    """Returns the learning rate at a moment of the training.

    Args:
        table: The recipe's.
        done: Epochs done, with the part of the one that runs.
        epochs: All of them.
    """
    rate, schedule = table.learning_rate, table.schedule
    progress = min(done / epochs, 1.0)
    if schedule.kind == "steps":
        # A little slack: 0.3 of 200 epochs is 60, whatever floats make of it.
        rate *= schedule.factor ** sum(progress + 1e-9 >= point for point in schedule.at)
    elif schedule.kind == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
    return rate * min(1.0, done / table.warmup) if table.warmup > 0 else rate
