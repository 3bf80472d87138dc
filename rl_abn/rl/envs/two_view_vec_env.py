"""Atari games that are observed in two ways at once: one emulator a game, a pipeline for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.ale_vec_env import make_ale
from rl_abn.rl.envs.emulator import Emulator
from rl_abn.rl.envs.frames import Frames
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.rl.envs.seeded_vec_env import Episodes, SeededVecEnv
from rl_abn.seeds import derive_seeds

_SEEN = ("observations", "crop", "screen_size", "frame_stack", "max_pool")


def same_view(one: Protocol, other: Protocol) -> bool:
    """Says whether two protocols show a game alike."""
    return all(getattr(one, field) == getattr(other, field) for field in _SEEN)


def with_view(protocol: Protocol, other: Protocol) -> Protocol:
    """Returns a protocol that is played as the one is, and shows the game as the other does."""
    return protocol.model_copy(update={field: getattr(other, field) for field in _SEEN})


class _PlayedGame:
    """One game: its emulator, and the frames of both views."""

    def __init__(self, game: Game, protocols: Sequence[Protocol], specs: Sequence[Any]) -> None:
        self.emulator = Emulator(game, protocols[0])
        # ALE draws the number of no-ops inside: this environment is reset whenever the game is.
        self._no_ops = make_ale(game, protocols[0], 1, n_threads=1)
        self._frames = [
            Frames(self.emulator.screen_in(colour=spec.colour), spec, max_pool=protocol.max_pool)
            for protocol, spec in zip(protocols, specs, strict=True)
        ]

    def reset(self, seed: int | None) -> list[np.ndarray]:
        """Starts a game; returns its first frames in both views."""
        given = None if seed is None else np.array([seed], np.int32)
        _, info = self._no_ops.reset(seed=given)
        self.emulator.reset(int(info["episode_frame_number"][0]), seed)
        return [frames.restart() for frames in self._frames]

    def step(self, action: int) -> tuple[list[np.ndarray], float, bool]:
        """Plays a step; returns both views' frames, the reward, and whether a life is lost."""
        lives = self.emulator.ale.lives()
        reward = self.emulator.step(action, self._keep)
        lost = self.emulator.ale.lives() < lives
        return [frames.step() for frames in self._frames], reward, lost

    def _keep(self, left: int) -> None:
        for frames in self._frames:
            frames.keep(left)


class TwoViewVecEnv(SeededVecEnv):
    """Plays the games of `AleVecEnv` and shows them in a second way too, byte for byte.

    A teacher that was trained on other observations than its student sees the student's games so.
    What `AleVecEnv` with the second view would return is in `second_observations`. The games are
    stepped in turn in this process, as ALE's vector environment makes frames of one kind alone.

    Args:
        game: Which game.
        protocol: How it is played, and observed.
        second: How it is observed besides; nothing else of this protocol counts.
        n_envs: Number of parallel games.
        seed: Seeds the games, as `seed()` does.
        life_loss_terminal: As in `AleVecEnv`.

    Attributes:
        second_observations: Of the last reset or step, [n_envs, ...].
        second_space: The space of one.

    Raises:
        RlAbnError: If ale-py has no such game.
    """

    render_mode = None

    def __init__(
        self,
        game: Game,
        protocol: Protocol,
        second: Protocol,
        n_envs: int,
        *,
        seed: int = 0,
        life_loss_terminal: bool | None = None,
    ) -> None:
        views = [protocol, with_view(protocol, second)]
        self._pipelines = [make_pipeline(view, n_envs) for view in views]
        specs = [pipeline.frame_spec for pipeline in self._pipelines]
        self._games = [_PlayedGame(game, views, specs) for _ in range(n_envs)]
        names = [action.name for action in self._games[0].emulator.actions]
        self._action_names = names
        self._life_loss_terminal = (
            protocol.life_loss_terminal if life_loss_terminal is None else life_loss_terminal
        )
        self.second_space: spaces.Box = self._pipelines[1].space
        super().__init__(n_envs, self._pipelines[0].space, spaces.Discrete(len(names)))
        self.second_observations = np.zeros(
            (n_envs, *self.second_space.shape), self.second_space.dtype
        )
        self._game_seeds: np.ndarray | None = derive_seeds(seed, count=n_envs)
        self._episodes = Episodes(n_envs)
        self._actions = np.zeros(n_envs, np.int64)

    @property
    def action_names(self) -> list[str]:
        """Names of the actions, by index."""
        return list(self._action_names)

    def seed_games(self, seeds: np.ndarray) -> Sequence[int]:
        """Seeds each game of the next reset, int32 [n_envs]."""
        self._game_seeds = seeds
        return [int(seed) for seed in seeds]

    def reset(self) -> np.ndarray:
        """Starts new games; without a new seed the emulators' random state goes on."""
        seeds: list[int | None] = [None] * self.num_envs
        if self._game_seeds is not None:
            seeds = [int(seed) for seed in self._game_seeds]
            for pipeline in self._pipelines:
                pipeline.reset()
        self._game_seeds = None
        self._episodes.restart()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        frames = [game.reset(seed) for game, seed in zip(self._games, seeds, strict=True)]
        return self._observe(frames)

    def step_async(self, actions: np.ndarray) -> None:
        """Takes one action for each game, int [n_envs]."""
        self._actions = np.array(actions, np.int64)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Plays a step; returns observations, raw rewards (float32), dones and infos."""
        rewards = np.zeros(self.num_envs, np.float32)
        dones = np.zeros(self.num_envs, bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        shown: list[list[np.ndarray]] = []
        for i, (game, action) in enumerate(zip(self._games, self._actions, strict=True)):
            frames, reward, lost_life = game.step(int(action))
            rewards[i] = reward
            is_over, is_cut = game.emulator.is_over, game.emulator.is_cut
            is_terminal = is_over or (lost_life and self._life_loss_terminal)
            dones[i] = is_terminal or is_cut
            if is_over or is_cut:
                final = [
                    pipeline.observe(last[None], [i])[0]
                    for pipeline, last in zip(self._pipelines, frames, strict=True)
                ]
                if not is_terminal:
                    infos[i] = {"TimeLimit.truncated": True, "terminal_observation": final[0]}
                frames = game.reset(None)
            elif is_terminal:
                infos[i]["lost_life"] = True
            shown.append(frames)
        self._episodes.add(rewards)
        for i, info in enumerate(infos):
            if dones[i] and "lost_life" not in info:
                info["episode"] = self._episodes.end(i)
        return self._observe(shown), rewards, dones, infos

    def _observe(self, frames: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """Keeps the games' second view and returns the first; frames are by game, then by view."""
        games = range(self.num_envs)
        by_view = [np.stack(view) for view in zip(*frames, strict=True)]
        first: np.ndarray = self._pipelines[0].observe(by_view[0], games)
        self.second_observations = self._pipelines[1].observe(by_view[1], games)
        return first

    def close(self) -> None:
        """Does nothing: the emulators end with the object."""
