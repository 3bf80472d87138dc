"""One Atari environment that reproduces a game of `AleVecEnv` and also gives the colour frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.ale_vec_env import make_ale
from rl_abn.rl.envs.emulator import FRAMES_PER_SECOND, Emulator
from rl_abn.rl.envs.observations import make_pipeline


class SingleEnvStep(NamedTuple):
    """The result of one step of a `SingleEnv`.

    Attributes:
        observation: As `AleVecEnv` returns it, [C, H, W].
        reward: Raw reward.
        terminated: Whether the game is over.
        truncated: Whether the frame cap cut the game off.
    """

    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool


class SingleEnv:
    """Plays the same game as `AleVecEnv` for the same seed and actions, byte for byte.

    ALE's vector environment neither renders nor saves its state; this class repeats its steps on a
    plain `Emulator`. The rules there and these were found by comparing bytes:

    - ALE draws the number of no-ops internally, so it is read from a vector environment with one
      game.
    - The frame on which a step ends early (game over or frame cap) is not used; earlier frames are
      pooled instead.

    Args:
        game: Which game.
        protocol: How it is played.

    Attributes:
        frame_size: Height and width of the colour frame, in pixels; 210x160 in most games.
    """

    def __init__(self, game: Game, protocol: Protocol) -> None:
        self.protocol = protocol
        self._noop_env = make_ale(game, protocol, 1, n_threads=1)
        self._emulator = Emulator(game, protocol)
        self._ale = self._emulator.ale
        self.frame_size: tuple[int, int] = self._ale.getScreenDims()
        self._pipeline = make_pipeline(protocol, 1)
        spec = self._pipeline.frame_spec
        self._screen = self._ale.getScreenRGB if spec.colour else self._ale.getScreenGrayscale
        self._stack = np.zeros(spec.shape, np.uint8)
        self._pair = np.zeros((2, *self._screen().shape), np.uint8)

    @property
    def action_names(self) -> list[str]:
        """Names of the actions, by index."""
        return [action.name for action in self._emulator.actions]

    @property
    def fps(self) -> float:
        """Steps in a second of play."""
        return FRAMES_PER_SECOND / self.protocol.frame_skip

    @property
    def frame(self) -> np.ndarray:
        """The current colour frame, uint8 RGB [*frame_size, 3]."""
        frame: np.ndarray = self._ale.getScreenRGB()
        return frame

    @property
    def lives(self) -> int:
        """Lives left."""
        return int(self._ale.lives())

    def reset(self, seed: int) -> np.ndarray:
        """Starts the game that `AleVecEnv` plays for this seed.

        Args:
            seed: The emulator's seed, 0 to 2**31 - 1.

        Returns:
            The observation, [C, H, W].
        """
        _, info = self._noop_env.reset(seed=np.array([seed], np.int32))
        self._emulator.reset(int(info["episode_frame_number"][0]), seed)
        self._stack[:] = 0
        self._pair[1] = 0
        self._pair[0] = self._screen()
        self._pipeline.reset()
        return self._observe()

    def step(self, action: int) -> SingleEnvStep:
        """Repeats an action for `frame_skip` frames, or until the game ends."""
        reward = self._emulator.step(action, self._keep)
        observation = self._observe()
        return SingleEnvStep(observation, reward, self._emulator.is_over, self._emulator.is_cut)

    def _keep(self, left: int) -> None:
        """Keeps the last two frames of a step."""
        if left <= 2:
            self._pair[left - 1] = self._screen()

    def _observe(self) -> np.ndarray:
        if self.protocol.max_pool:
            # In place, as ALE does: a step that ends early pools the frames of the step before.
            np.maximum(self._pair[0], self._pair[1], out=self._pair[0])
        height, width = self._stack.shape[1:3]
        self._stack[:-1] = self._stack[1:].copy()
        self._stack[-1] = cv2.resize(self._pair[0], (width, height), interpolation=cv2.INTER_AREA)
        observation: np.ndarray = self._pipeline.observe(self._stack.copy()[None], [0])[0]
        return observation
