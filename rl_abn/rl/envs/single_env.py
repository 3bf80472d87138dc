"""One Atari environment that reproduces a game of `AleVecEnv` and also gives the colour frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
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
        spec = self._pipeline.frame_spec
        self._frames = Frames(
            self._emulator.screen_in(colour=spec.colour), spec, max_pool=protocol.max_pool
        )
        self._restored_frame: np.ndarray | None = None
        space = self._pipeline.space
        self._observation = np.zeros(space.shape, space.dtype)

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
        if self._restored_frame is not None:
            return self._restored_frame
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
        self._restored_frame = None
        return self._observe(self._frames.restart())

    def step(
        self, action: int, on_frame: Callable[[np.ndarray], None] | None = None
    ) -> SingleEnvStep:
        """Repeats an action for `frame_skip` frames, or until the game ends.

        Args:
            action: Index of the action.
            on_frame: Called with every colour frame in between but one that ends the game.
        """

        def keep(left: int) -> None:
            self._frames.keep(left)
            if on_frame is not None:
                on_frame(self.frame)

        self._restored_frame = None
        reward = self._emulator.step(action, self._frames.keep if on_frame is None else keep)
        observation = self._observe(self._frames.step())
        return SingleEnvStep(observation, reward, self._emulator.is_over, self._emulator.is_cut)

    def _observe(self, frames: np.ndarray) -> np.ndarray:
        observation: np.ndarray = self._pipeline.observe(frames[None], [0])[0]
        self._observation = observation
        return observation

    def state(self) -> dict[str, np.ndarray]:
        """Returns what it takes to go on from here exactly, by name."""
        return {
            **self._emulator.state(),
            **self._frames.state(),
            **self._pipeline.state(0),
            "observation": self._observation.copy(),
            "frame": self.frame.copy(),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """Goes on from a state of the same game and protocol.

        Returns:
            The observation, [C, H, W].

        Raises:
            RlAbnError: If it is no such state.
        """
        for name, known in self.state().items():
            found = state.get(name)
            shapes = None if name == "emulator" else known.shape
            if found is None or found.dtype != known.dtype or shapes not in (None, found.shape):
                got = "none" if found is None else f"{found.dtype} {list(found.shape)}"
                raise RlAbnError(
                    f"expected '{name}' of {known.dtype} {list(known.shape)} in a state, got {got}"
                )
        self._emulator.restore(state)
        self._frames.restore(state)
        self._pipeline.restore(state, 0)
        self._observation = np.array(state["observation"])
        # The emulator's own screen is the one of before until it plays a frame.
        self._restored_frame = np.array(state["frame"])
        return self._observation

    def reseed(self, seed: int) -> None:
        """Draws what the game leaves to chance anew from here on; the game stays as it is."""
        frame = self.frame.copy()
        self._emulator.reseed(seed)
        self._restored_frame = frame
