"""What goes wrong on purpose while a log is recorded, so that it shows the way back.

Who only ever saw the middle of the road does not know what to do at its edge. So the car starts
beside the line, is steered wrongly now and then and slowed down or sped up; what is recorded is the
expert's answer to it (in the spirit of Laskey et al., DART, CoRL 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl_abn.vision.driving.carracing.controls import HARDEST_BRAKE, Controls
from rl_abn.vision.driving.carracing.simulator import FPS


class Start(NamedTuple):
    """How a drive begins, relative to the centre line at the start.

    Attributes:
        offset: To its left, in units.
        turned: To the left of its direction, in radians.
    """

    offset: float
    turned: float


@dataclass(frozen=True)
class Disturbances:
    """How much goes wrong. All is drawn evenly from ranges.

    Wrong pedals are there for what no good driver meets: standing still in a bend, and coming to it
    too fast. Whoever has never seen that stays standing, for a picture of a bend means: brake.

    Attributes:
        start_offset: Up to this far beside the centre line, in units; the road's half is 6.7.
        start_turned: Up to this far turned away, in radians.
        apart_s: Seconds from one wrong steering's end to the next, shortest and longest.
        lasting_s: How long one lasts, shortest and longest.
        strength: How much is added to the steering, least and most, to either side; 1 is full lock.
        pedals_apart_s: Seconds from one wrong pedal's end to the next, shortest and longest.
        pedals_lasting_s: How long one lasts, shortest and longest.
        pedals_strength: How much is added to throttle - brake, least and most, to either side.
    """

    start_offset: float = 4.0
    start_turned: float = 0.3
    apart_s: tuple[float, float] = (1.0, 3.0)
    lasting_s: tuple[float, float] = (0.1, 0.5)
    strength: tuple[float, float] = (0.2, 0.8)
    pedals_apart_s: tuple[float, float] = (2.0, 5.0)
    pedals_lasting_s: tuple[float, float] = (0.2, 1.5)
    pedals_strength: tuple[float, float] = (0.3, 1.0)


class Disturber:
    """Draws the disturbances of one drive.

    Args:
        disturbances: How much goes wrong.
        rng: Random generator.
    """

    def __init__(self, disturbances: Disturbances, rng: np.random.Generator) -> None:
        self._disturbances = disturbances
        self._rng = rng
        steering, pedals = rng.spawn(2)
        self._steering = _Pushes(
            disturbances.apart_s, disturbances.lasting_s, disturbances.strength, steering
        )
        self._pedals = _Pushes(
            disturbances.pedals_apart_s,
            disturbances.pedals_lasting_s,
            disturbances.pedals_strength,
            pedals,
        )

    def start(self) -> Start:
        """Draws how the drive begins."""
        offset = self._disturbances.start_offset * self._rng.uniform(-1.0, 1.0)
        turned = self._disturbances.start_turned * self._rng.uniform(-1.0, 1.0)
        return Start(offset, turned)

    def disturb(self, controls: Controls) -> Controls:
        """Returns what the car does in this step instead of what the expert would."""
        turn, push = self._steering.next(), self._pedals.next()
        if turn:
            steering = float(np.clip(controls.steering + turn, -1.0, 1.0))
            controls = controls._replace(steering=steering)
        if push:
            pedal = float(np.clip(controls.throttle - controls.brake + push, -HARDEST_BRAKE, 1.0))
            controls = controls._replace(throttle=max(pedal, 0.0), brake=max(-pedal, 0.0))
        return controls


class _Pushes:
    """One push after another, to either side, with breaks between them."""

    def __init__(
        self,
        apart_s: tuple[float, float],
        lasting_s: tuple[float, float],
        strength: tuple[float, float],
        rng: np.random.Generator,
    ) -> None:
        self._apart_s, self._lasting_s, self._strength = apart_s, lasting_s, strength
        self._rng = rng
        self._wait = self._steps(apart_s)
        self._left = 0
        self._push = 0.0

    def next(self) -> float:
        """Returns the push in this step; 0 between two."""
        if self._wait == 0:
            self._wait = self._steps(self._apart_s)
            self._left = self._steps(self._lasting_s)
            self._push = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(*self._strength)
        if self._left == 0:
            self._wait -= 1
            return 0.0
        self._left -= 1
        return self._push

    def _steps(self, seconds: tuple[float, float]) -> int:
        return max(round(self._rng.uniform(*seconds) * FPS), 1)
