"""CarRacing itself, drawn only when somebody looks. The one module that cannot do without Box2D.

Gymnasium's environment draws a picture in every step, which takes far longer than the physics, and
goes through all of the world for it, most of which is out of sight.
"""

from __future__ import annotations

import math
import os
from typing import Any

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame greets on standard output

from gymnasium.envs.box2d import car_racing as original

# From the car to the window's farthest corner, and as far again as the largest thing drawn is long,
# a square of grass: what begins beyond that is in no picture.
_SIGHT = math.hypot(original.WINDOW_W / 2, original.WINDOW_H * 3 / 4) / (
    original.ZOOM * original.SCALE
) + original.GRASS_DIM * math.sqrt(2)


class Engine(original.CarRacing):
    """CarRacing-v3 with continuous actions, whose steps draw nothing.

    Its pictures are Gymnasium's, to the byte, but for a track's first second: there the original's
    camera sinks from the sky, and here it is down from the start.
    """

    car: Any  # there is one from the first reset on

    def __init__(self) -> None:
        super().__init__(continuous=True)

    def step(self, action: Any) -> Any:
        """Moves the car; the state that is returned is None."""
        if action is None:  # the step with which a track begins
            self.t = 1.0
        return super().step(action)

    def picture(self, mode: str) -> Any:
        """Draws what there is to see in one of Gymnasium's modes."""
        self._x, self._y = self.car.hull.position
        return super()._render(mode)

    def _render(self, mode: str) -> Any:
        return None

    def _draw_colored_polygon(
        self,
        surface: Any,
        poly: Any,
        color: Any,
        zoom: float,
        translation: Any,
        angle: float,
        clip: bool = True,
    ) -> None:
        if clip and max(abs(poly[0][0] - self._x), abs(poly[0][1] - self._y)) > _SIGHT:
            return
        super()._draw_colored_polygon(surface, poly, color, zoom, translation, angle, clip)
