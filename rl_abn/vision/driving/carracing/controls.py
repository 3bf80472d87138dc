"""What a driver does with wheel and pedals, freely or with CarRacing's five discrete actions."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

# CarRacing's own steering is the front wheels' angle in radians. They turn no further than this, so
# from 0.4 to 1 it does nothing more.
LOCK_RAD = 0.4
# CarRacing blocks the wheels from 0.9 on, and a car with blocked wheels can't be steered.
HARDEST_BRAKE = 0.8

# The thresholds of `nearest_action`. An action lasts 1/50 s, so controls in between come out as its
# pulses: the expert's drives are best with these (a coarse search on tracks of their own).
BRAKES_FROM = 0.4
STEERS_FROM = 0.1
GAS_OUTWEIGHS = 0.5
GAS_FROM = 0.02


class Controls(NamedTuple):
    """A driver's answer to one picture, as a driving log keeps it.

    Attributes:
        steering: -1..1, full lock to the left .. to the right.
        throttle: 0..1.
        brake: 0..1.
    """

    steering: float
    throttle: float
    brake: float


class Action(IntEnum):
    """CarRacing's five discrete actions, as Gymnasium 1.x numbers them."""

    NOTHING = 0
    RIGHT = 1
    LEFT = 2
    GAS = 3
    BRAKE = 4

    @property
    def controls(self) -> Controls:
        """What CarRacing does for it; its steering of 0.6 is beyond the lock."""
        return _CONTROLS[self]


_CONTROLS = {
    Action.NOTHING: Controls(0.0, 0.0, 0.0),
    Action.RIGHT: Controls(1.0, 0.0, 0.0),
    Action.LEFT: Controls(-1.0, 0.0, 0.0),
    Action.GAS: Controls(0.0, 0.2, 0.0),
    Action.BRAKE: Controls(0.0, 0.0, 0.8),
}


def nearest_action(controls: Controls) -> Action:
    """Chooses the one action that does most of what the controls ask for.

    Braking from 0.4 on comes first. Then steering, where it exceeds 0.1 and half the throttle more:
    a car that is to speed up may steer a little later. Then gas, from 0.02 on.
    """
    if controls.brake >= BRAKES_FROM:
        return Action.BRAKE
    if abs(controls.steering) > STEERS_FROM + GAS_OUTWEIGHS * controls.throttle:
        return Action.RIGHT if controls.steering > 0 else Action.LEFT
    return Action.GAS if controls.throttle > GAS_FROM else Action.NOTHING
