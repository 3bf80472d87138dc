"""What a driver's controls become for a network that is to learn them, and what they were before.

One description for logs and for driving: what a network learned is what its outputs mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.recipes.vision import ControlsTable
from rl_abn.vision.data import DrivingLog
from rl_abn.vision.driving.carracing.controls import (
    BRAKES_FROM,
    GAS_FROM,
    GAS_OUTWEIGHS,
    HARDEST_BRAKE,
    STEERS_FROM,
    Action,
    Controls,
)

ACTIONS = tuple(action.name.lower() for action in Action)
"""What the five classes are called, in their order."""


def driven(log: DrivingLog, table: ControlsTable) -> Float[Tensor, "N 2"]:
    """Returns what a network learns to do at each frame: steering and pedals, [N, 2].

    With `pedals = "signed"` the two pedals are one number, throttle - brake in -1..1: a driver has
    one foot. Otherwise it is the throttle alone, 0..1.
    """
    if table.pedals == "throttle":
        return log.controls
    return torch.stack([log.controls[:, 0], log.controls[:, 1] - log.brake], dim=1)


def undone(steering: float, pedal: float, table: ControlsTable) -> Controls:
    """Returns the controls that a network's outputs stand for.

    The brake never blocks the wheels, and no teacher's did.
    """
    brake = min(max(-pedal, 0.0), HARDEST_BRAKE) if table.pedals == "signed" else 0.0
    return Controls(steering, max(pedal, 0.0), brake)


def speed_seen(speed: Float[Tensor, " N"], table: ControlsTable) -> Float[Tensor, " N"]:
    """Returns the vehicle's speed as networks see it."""
    return speed / table.speed_scale


def nearest_actions(driven: Float[Tensor, "N 2"]) -> Int64[Tensor, " N"]:
    """Returns the action nearest to each of N signed controls: `nearest_action`, on tensors."""
    steering, pedal = driven.unbind(dim=1)
    turns = torch.where(steering > 0, int(Action.RIGHT), int(Action.LEFT))
    goes = torch.where(pedal > GAS_FROM, int(Action.GAS), int(Action.NOTHING))
    steers = steering.abs() > STEERS_FROM + GAS_OUTWEIGHS * pedal.clamp(min=0.0)
    actions = torch.where(steers, turns, goes)
    return torch.where(pedal <= -BRAKES_FROM, int(Action.BRAKE), actions)
