"""A small environment for tests, in the shapes that pictures come in: a patch falls, catch it."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces

MODULE = __name__
GRID, DROPS = 5, 3
SPACES = {
    "rgb": spaces.Box(0, 255, (84, 84, 3), np.uint8),
    "procgen": spaces.Box(0, 255, (64, 64, 3), np.uint8),
    "minatar": spaces.Box(0.0, 1.0, (10, 10, 4), np.bool_),
    "floats": spaces.Box(0.0, 1.0, (10, 10, 2), np.float32),
    "halves": spaces.Box(-0.5, 0.5, (10, 10, 2), np.float32),
    "unbounded": spaces.Box(-np.inf, np.inf, (10, 10, 2), np.float32),
    "grey": spaces.Box(0, 255, (40, 40), np.uint8),
    "channels_first": spaces.Box(0, 255, (3, 40, 60), np.uint8),
    "vector": spaces.Box(-1.0, 1.0, (4,), np.float32),
}


class Catch(gymnasium.Env):
    """A patch falls one row a step; a paddle moves left, stays or moves right.

    Caught is worth 1, missed -1; a game is `drops` patches.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self, shown="rgb", drops=DROPS, render_mode=None, first_action=0, continuous=False
    ):
        self.render_mode = render_mode
        self.drops = drops
        self.observation_space = SPACES[shown]
        self.action_space = spaces.Discrete(3, start=first_action)
        if continuous:
            self.action_space = spaces.Box(-1, 1, (2,))

    def get_action_meanings(self):
        return ["LEFT", "STAY", "RIGHT"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.dropped, self.paddle = 0, GRID // 2
        self._drop()
        return self.picture(), {"dropped": 0}

    def step(self, action):
        assert action in self.action_space
        move = int(action) - int(self.action_space.start) - 1
        self.paddle = int(np.clip(self.paddle + move, 0, GRID - 1))
        self.row += 1
        reward = 0.0
        if self.row == GRID - 1:
            reward = 1.0 if self.column == self.paddle else -1.0
            self.dropped += 1
            self._drop()
        return self.picture(), reward, self.dropped == self.drops, False, {"row": self.row}

    def render(self):
        grid = np.zeros((GRID, GRID, 3), np.uint8)
        grid[self.row, self.column] = 255, 80, 0
        grid[-1, self.paddle] = 0, 160, 255
        return grid

    def picture(self):
        space = self.observation_space
        grid = np.zeros((GRID, GRID, 2))
        grid[self.row, self.column, 0] = grid[-1, self.paddle, 1] = 1
        if space.shape == (3, 40, 60):
            grid = grid.repeat(8, 0).repeat(12, 1).max(2)[None].repeat(3, 0)
        elif space.shape == (40, 40):
            grid = grid.max(2).repeat(8, 0).repeat(8, 1)
        else:
            size, channels = space.shape[0], space.shape[2]
            places = np.arange(size) * GRID // size
            grid = grid[places][:, places][..., np.arange(channels) % 2]
        low, high = (
            (0.0, 1.0)
            if np.isinf(space.high.max())
            else map(float, (space.low.min(), space.high.max()))
        )
        return (low + grid * (high - low)).astype(space.dtype)

    def _drop(self):
        self.row, self.column = 0, int(self.np_random.integers(GRID))


gymnasium.register("Catch-v0", entry_point=f"{MODULE}:Catch")
ID = f"{MODULE}:Catch-v0"
