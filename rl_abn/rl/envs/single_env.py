"""One Atari environment that reproduces a game of `AleVecEnv` and also gives the colour frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.ale_vec_env import make_ale
from rl_abn.rl.envs.emulator import FRAMES_PER_SECOND, Emulator
from rl_abn.rl.envs.frames import Frames
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
    plain `Emulator`. ALE draws the number of no-ops internally, so it is read from a vector
    environment with one game. These rules, and those of `Emulator` and `Frames`, were found by
    comparing bytes.

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
        self._frames = Frames(self._emulator, self._pipeline.frame_spec, max_pool=protocol.max_pool)

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
        self._pipeline.reset()
        return self._observe(self._frames.restart())

    def step(self, action: int) -> SingleEnvStep:
        """Repeats an action for `frame_skip` frames, or until the game ends."""
        reward = self._emulator.step(action, self._frames.keep)
        observation = self._observe(self._frames.step())
        return SingleEnvStep(observation, reward, self._emulator.is_over, self._emulator.is_cut)

    def _observe(self, frames: np.ndarray) -> np.ndarray:
        observation: np.ndarray = self._pipeline.observe(frames[None], [0])[0]
        return observation
