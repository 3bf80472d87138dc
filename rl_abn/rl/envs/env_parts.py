"""A vector environment in parts: one part's emulators run while the policy acts in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.rl.envs.seeded_vec_env import SeededVecEnv
from rl_abn.seeds import derive_seeds


class Part(NamedTuple):
    """One part of a vector environment, and its indices among all games."""

    env: VecEnv
    games: slice


class PartitionedVecEnv(VecEnv):
    """Several vector environments as one; the first part's games come first.

    As a plain `VecEnv` it steps all parts at once. A loop that uses `parts` can step them in turn:
    the emulators of one part run while the policy computes actions for another (double buffering).

    Args:
        parts: Environments with the same spaces.

    Raises:
        ValueError: If there are none, or their spaces differ.
    """

    def __init__(self, parts: Sequence[VecEnv]) -> None:
        spaces = {(str(env.observation_space), str(env.action_space)) for env in parts}
        if len(spaces) != 1:
            raise ValueError(f"expected environments with the same spaces, got {sorted(spaces)}")
        self.parts: list[Part] = []
        n_envs = 0
        for env in parts:
            self.parts.append(Part(env, slice(n_envs, n_envs + env.num_envs)))
            n_envs += env.num_envs
        self.render_mode = parts[0].render_mode
        super().__init__(n_envs, parts[0].observation_space, parts[0].action_space)
        self.metadata = parts[0].metadata

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; None takes a random seed.

        Parts that are all `SeededVecEnv` play the games that one environment would play with this
        seed; other parts get a seed each.
        """
        entropy = np.random.SeedSequence().entropy if seed is None else seed
        assert isinstance(entropy, int)
        if all(isinstance(env, SeededVecEnv) for env, _ in self.parts):
            return self.seed_games(derive_seeds(entropy, count=self.num_envs))
        seeds = derive_seeds(entropy, count=len(self.parts)).tolist()
        by_part = zip(self.parts, seeds, strict=True)
        return [given for (env, _), seed in by_part for given in env.seed(seed)]

    def seed_games(self, seeds: np.ndarray) -> Sequence[int]:
        """Seeds each game of the next reset, int32 [n_envs]; all parts must be `SeededVecEnv`."""
        given: list[int] = []
        for env, games in self.parts:
            assert isinstance(env, SeededVecEnv)
            given += env.seed_games(seeds[games])
        return given

    def reset(self) -> np.ndarray:
        """Resets all parts."""
        observations = [env.reset() for env, _ in self.parts]
        self.reset_infos = [info for env, _ in self.parts for info in env.reset_infos]
        return np.concatenate(observations)  # type: ignore[arg-type]

    def step_async(self, actions: np.ndarray) -> None:
        """Sends one action to each game."""
        for env, games in self.parts:
            env.step_async(actions[games])

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Returns observations, rewards, dones and infos of all parts."""
        observations, rewards, dones, infos = zip(
            *(env.step_wait() for env, _ in self.parts), strict=True
        )
        return (
            np.concatenate(observations),
            np.concatenate(rewards),
            np.concatenate(dones),
            [info for part in infos for info in part],
        )

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Returns the screens of all parts."""
        return [image for env, _ in self.parts for image in env.get_images()]

    def close(self) -> None:
        """Closes all parts."""
        for env, _ in self.parts:
            env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of each indexed game."""
        values = [value for env, _ in self.parts for value in env.get_attr(attr_name)]
        return [values[i] for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not supported: set it on a part."""
        raise NotImplementedError("set the attribute on one of PartitionedVecEnv's parts")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Not supported: call it on a part."""
        raise NotImplementedError(f"call '{method_name}' on one of PartitionedVecEnv's parts")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Returns for each indexed game whether it is wrapped."""
        wrapped = [flag for env, _ in self.parts for flag in env.env_is_wrapped(wrapper_class)]
        return [wrapped[i] for i in self._get_indices(indices)]


def env_parts_of(env: VecEnv) -> list[Part]:
    """Returns the parts of an environment; an unpartitioned one is a single part."""
    if isinstance(env, PartitionedVecEnv):
        return env.parts
    return [Part(env, slice(0, env.num_envs))]
