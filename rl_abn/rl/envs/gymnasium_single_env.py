"""One Gymnasium environment with the picture that a person sees."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rl_abn.recipes import GymnasiumRecipe, Preprocessing
from rl_abn.rl.envs.gymnasium_env import action_names, channels_last, make_gymnasium_env
from rl_abn.rl.envs.single_env import SingleEnvStep

_SMALLEST = 160  # pixels: smaller pictures are enlarged
_LARGEST = 480  # larger ones are reduced
_FPS = 15.0


class GymnasiumSingleEnv:
    """Plays one game as `GymnasiumVecEnv` does for the same seed and actions.

    The picture is what `render()` gives with `render_mode="rgb_array"`; of an environment without
    it, the first channels of the newest observation.

    Args:
        recipe: Which environment.
        preprocessing: How it is played and observed.

    Attributes:
        frame_size: Height and width of the picture, in pixels.
        lives: Lives left, always 0: environments have no common word for them.

    Raises:
        RlAbnError: If the environment cannot be made, or has no pictures or no discrete actions.
    """

    lives = 0

    def __init__(self, recipe: GymnasiumRecipe, preprocessing: Preprocessing) -> None:
        self._env = make_gymnasium_env(recipe, preprocessing, render=True)
        self._first_action = int(getattr(self._env.action_space, "start", 0))
        self._n_channels = (self._env.observation_space.shape or (1,))[0] // (
            preprocessing.frame_stack
        )
        fps = self._env.metadata.get("render_fps")
        self.fps = float(fps if isinstance(fps, int | float) and fps > 0 else _FPS)
        self.fps /= preprocessing.frame_skip
        self._observation: np.ndarray
        self.reset(0)
        self.frame_size: tuple[int, int] = self.frame.shape[:2]

    @property
    def action_names(self) -> list[str]:
        """Names of the actions, by index."""
        return action_names(self._env)

    @property
    def frame(self) -> np.ndarray:
        """The current picture, uint8 RGB [*frame_size, 3]."""
        rendered: Any = None
        if self._env.render_mode == "rgb_array":
            rendered = self._env.render()
        if not isinstance(rendered, np.ndarray) or rendered.ndim not in (2, 3):
            rendered = np.moveaxis(self._observation[-self._n_channels :], 0, 2)
        frame = _enlarged(_rgb(rendered))
        size: tuple[int, int] = getattr(self, "frame_size", frame.shape[:2])
        if frame.shape[:2] == size:
            return frame
        return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA))

    def reset(self, seed: int) -> np.ndarray:
        """Starts the game of a seed and returns the observation, [C, H, W]."""
        self._observation, _ = self._env.reset(seed=seed)
        return self._observation

    def step(self, action: int) -> SingleEnvStep:
        """Takes an action."""
        observation, reward, over, cut, _ = self._env.step(action + self._first_action)
        self._observation = observation
        return SingleEnvStep(observation, float(reward), over, cut and not over)


def _rgb(picture: np.ndarray) -> np.ndarray:
    """Returns a picture as uint8 [H, W, 3]: its first channels, or the largest of all as grey."""
    picture = channels_last(picture)
    if picture.dtype != np.uint8:
        scale = 255 if float(np.max(picture, initial=0)) <= 1 else 1
        picture = np.clip(picture.astype(np.float32) * scale, 0, 255).astype(np.uint8)
    if picture.shape[2] == 4:  # RGBA; of other pictures with four channels the last is lost
        picture = picture[..., :3]
    if picture.shape[2] != 3:
        picture = np.repeat(picture.max(axis=2, keepdims=True), 3, axis=2)
    return np.ascontiguousarray(picture)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """Brings a picture to a size that can be looked at, with cells of a grid as sharp squares."""
    height, width = picture.shape[:2]
    times = -(-_SMALLEST // max(height, width))
    if times > 1:
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    if max(height, width) <= _LARGEST:
        return picture
    share = _LARGEST / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
