"""One Gymnasium environment as an agent sees it: pictures [C, H, W], discrete actions."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    MaxAndSkipObservation,
    TimeLimit,
    TransformObservation,
)

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.text import brief
from rl_abn.recipes import GymnasiumRecipe, Preprocessing

_SHARP_FROM = 4  # enlarged this many times, a cell of a grid stays a cell; less is interpolated


def make_gymnasium_env(
    recipe: GymnasiumRecipe, preprocessing: Preprocessing, *, render: bool = False
) -> gymnasium.Env[np.ndarray, Any]:
    """Makes an environment with the wrappers of a recipe.

    Observations are [C, H, W]: the channels of the stacked pictures, the oldest picture first.
    Pictures of uint8 stay so, booleans become 0 and 255; other numbers become float32 in 0..1 where
    their space is bounded. The environment may give [H, W], [H, W, C] or [C, H, W].

    Args:
        recipe: Which environment.
        preprocessing: How it is played and observed.
        render: Whether `render()` gives pictures, if the environment can.

    Raises:
        RlAbnError: If it cannot be made, or has no pictures or no discrete actions.
    """
    env = _make(recipe, render)
    name, space = recipe.game.id, env.observation_space
    if not isinstance(env.action_space, spaces.Discrete):
        raise RlAbnError(f"expected discrete actions, got {env.action_space} in {name}")
    if not isinstance(space, spaces.Box) or len(space.shape) not in (2, 3) or 0 in space.shape:
        raise RlAbnError(
            "expected picture observations, [height, width] or [height, width, channels], "
            f"got {brief(ValueError(str(space)))} in {name}"
        )
    env = TimeLimit(_WithoutInfo(env), preprocessing.max_frames)
    if preprocessing.frame_skip > 1:
        env = MaxAndSkipObservation(env, preprocessing.frame_skip)
    to_picture, space = _to_picture(space)
    env = TransformObservation(env, to_picture, space)
    if preprocessing.grey:
        if space.shape[2] != 3 or space.dtype != np.uint8:
            raise RlAbnError(
                "expected preprocessing.grey = false where pictures are not RGB, got true for "
                f"{space.dtype} {list(space.shape)} in {name}"
            )
        env = GrayscaleObservation(env, keep_dim=True)
    return _stacked(env, preprocessing)


def action_names(env: gymnasium.Env[Any, Any]) -> list[str]:
    """Returns the names of an environment's actions, its own where it has as many."""
    assert isinstance(env.action_space, spaces.Discrete)
    n, meanings = int(env.action_space.n), getattr(env.unwrapped, "get_action_meanings", None)
    names = [str(name) for name in meanings()] if callable(meanings) else []
    return names if len(names) == n else [f"action {i}" for i in range(n)]


def channels_last(picture: np.ndarray) -> np.ndarray:
    """Returns a picture [H, W], [H, W, C] or [C, H, W] as [H, W, C]; a tie is [H, W, C]."""
    if picture.ndim == 2:
        return picture[..., None]
    first, _, last = picture.shape
    return np.moveaxis(picture, 0, 2) if first < last else picture


def _make(recipe: GymnasiumRecipe, render: bool) -> gymnasium.Env[Any, Any]:
    name = recipe.game.id
    module, _, env_id = name.rpartition(":")
    if module:
        _import(module, env_id)
    if env_id not in gymnasium.registry:
        near = did_you_mean(env_id, gymnasium.registry, "none is called so")
        where = f" once {module} is imported" if module else "; module:EnvId-v0 imports a module"
        raise RlAbnError(f"unknown environment '{env_id}'{where}: {near}")
    options: dict[str, Any] = dict(recipe.options)
    if render and "rgb_array" in _render_modes(env_id):
        options["render_mode"] = "rgb_array"
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **options)
    except Exception as error:  # whatever somebody else's code raises
        raise RlAbnError(
            f"cannot make the environment '{name}': {type(error).__name__}: {brief(error)}"
        ) from error


def _import(module: str, env_id: str) -> None:
    """Imports the module that registers an environment, and lets it, where it asks to be called."""
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise RlAbnError(
            f"expected a module that can be imported, got '{module}': {brief(error)}; "
            "PYTHONPATH=. finds those in this folder"
        ) from None
    except Exception as error:  # whatever somebody else's code raises
        raise RlAbnError(
            f"cannot import the module '{module}': {type(error).__name__}: {brief(error)}"
        ) from error
    register = getattr(imported, "register_envs", None)  # as MinAtar has it
    if env_id not in gymnasium.registry and callable(register):
        register()


def _render_modes(env_id: str) -> list[str]:
    """Returns the ways in which an environment can be rendered, as its class declares them."""
    entry = gymnasium.registry[env_id].entry_point
    try:
        creator = (
            gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
        )
    except Exception:  # told better when the environment is made
        return []
    metadata = getattr(creator, "metadata", None)
    modes = metadata.get("render_modes") if isinstance(metadata, dict) else None
    return list(modes or ())


class _WithoutInfo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Drops an environment's info, which nobody reads and vector environments would collect."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return self.env.reset(**kwargs)[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, float(reward), bool(terminated), bool(truncated), {}


def _to_picture(space: spaces.Box) -> tuple[Callable[[np.ndarray], np.ndarray], spaces.Box]:
    """Returns what makes [H, W, C] of uint8 or float32, and its space."""
    shape = channels_last(np.empty(space.shape, bool)).shape
    if space.dtype == np.uint8:
        return channels_last, spaces.Box(0, 255, shape, np.uint8)
    if space.dtype == np.bool_:
        return lambda x: channels_last(x).astype(np.uint8) * 255, spaces.Box(
            0, 255, shape, np.uint8
        )
    low, high = float(space.low.min()), float(space.high.max())
    # A number type's own range says nothing about the values.
    widest = np.issubdtype(space.dtype, np.floating) and max(-low, high) > 1e30
    if widest or not np.isfinite([low, high]).all() or low >= high:
        unbounded = spaces.Box(-np.inf, np.inf, shape, np.float32)
        return lambda x: channels_last(x).astype(np.float32), unbounded

    def scaled(picture: np.ndarray) -> np.ndarray:
        share = (channels_last(picture).astype(np.float64) - low) / (high - low)
        return share.astype(np.float32)

    return scaled, spaces.Box(0.0, 1.0, shape, np.float32)


def _stacked(
    env: gymnasium.Env[Any, Any], preprocessing: Preprocessing
) -> gymnasium.Env[np.ndarray, Any]:
    """Resizes pictures, stacks them, and puts the channels first."""
    size, n_stacked = preprocessing.screen_size, preprocessing.frame_stack
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    height, width, channels = space.shape
    low, high = space.low.min(), space.high.max()

    def box(shape: tuple[int, ...]) -> spaces.Box:
        return spaces.Box(low, high, shape, space.dtype.type)

    def resized(picture: np.ndarray) -> np.ndarray:
        return _resized(picture, size)

    def channels_first(pictures: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(pictures, 3, 1)).reshape(-1, size, size)

    if (height, width) != (size, size):
        env = TransformObservation(env, resized, box((size, size, channels)))
    env = FrameStackObservation(env, n_stacked)
    return TransformObservation(env, channels_first, box((n_stacked * channels, size, size)))


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    """Resizes [H, W, C] to [size, size, C]."""
    height, width = picture.shape[:2]
    if size < max(height, width):
        how = cv2.INTER_AREA
    else:
        how = cv2.INTER_NEAREST if size >= _SHARP_FROM * max(height, width) else cv2.INTER_LINEAR
    # A channel at a time: OpenCV takes a few channels only.
    channels = [
        cv2.resize(np.ascontiguousarray(picture[..., i]), (size, size), interpolation=how)
        for i in range(picture.shape[2])
    ]
    return np.stack(channels, axis=-1)
