"""ALE's C++ vector environment as a stable-baselines3 `VecEnv`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.emulator import FRAMES_PER_SECOND
from rl_abn.rl.envs.idle_emulators import IDLE, thread_priority
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.rl.envs.screens import Screens
from rl_abn.rl.envs.seeded_vec_env import Episodes, SeededVecEnv
from rl_abn.seeds import derive_seeds

ALEInterface.setLoggerMode(LoggerMode.Error)

RENDER_MODES = ("rgb_array",)


class AleVecEnv(SeededVecEnv):
    """Atari games stepped in parallel on ALE's C++ threads.

    Observations are [n_envs, C, H, W], as the protocol's pipeline makes them: uint8 pixels, or
    normalised float32. Rewards are raw. A game that ends restarts in the same step: the returned
    observation is the first of the next game. `info["episode"]` is set at the end of a whole game:
    raw return "r", length "l" in agent steps, and time "t" in seconds, as in SB3's `Monitor`. With
    `life_loss_terminal` a lost life sets `done` although the game goes on; its info has "lost_life"
    instead of "episode". A game cut off by the frame cap has `info["TimeLimit.truncated"]` and
    `info["terminal_observation"]`, for the truncation bootstrap.

    Args:
        game: Which game.
        protocol: How it is played.
        n_envs: Number of parallel games.
        seed: Seeds the games, as `seed()` does.
        life_loss_terminal: Whether a lost life sets `done`; None follows the protocol. Evaluation
            passes True, so that agents whose memory resets at a lost life know of it.
        n_threads: Emulator threads; 0 is one per core, at most one per game.
        render_mode: "rgb_array" lets `render()`, `get_images()` and SB3's `VecVideoRecorder` show
            the games in colour; each is then emulated twice.

    Raises:
        RlAbnError: If ale-py has no such game, or there is no such render mode.

    Example:
        >>> from rl_abn.recipes import load_env
        >>> recipe = load_env("space_invaders")
        >>> env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2, seed=0)
        >>> env.reset().shape
        (2, 4, 84, 84)
    """

    def __init__(
        self,
        game: Game,
        protocol: Protocol,
        n_envs: int,
        *,
        seed: int = 0,
        life_loss_terminal: bool | None = None,
        n_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise RlAbnError(
                f"expected render_mode None or 'rgb_array', got '{render_mode}': "
                f"{did_you_mean(render_mode, RENDER_MODES)}"
            )
        if life_loss_terminal is None:
            life_loss_terminal = protocol.life_loss_terminal
        threads = n_threads or default_threads(n_envs)
        self._kind = (game.rom, protocol, n_envs, life_loss_terminal, threads, thread_priority())
        self._ale: AtariVectorEnv | None = IDLE.take(self._kind) or make_ale(
            game, protocol, n_envs, life_loss_terminal=life_loss_terminal, n_threads=threads
        )
        self._in_step = False
        self._pipeline = make_pipeline(protocol, n_envs)
        self._screens = Screens(game, protocol, n_envs) if render_mode else None
        self._actions = np.zeros(n_envs, np.int64)
        self._action_names = [action.name for action in self.ale_env.ale.get_action_set()]
        self.render_mode = render_mode
        super().__init__(n_envs, self._pipeline.space, spaces.Discrete(len(self._action_names)))
        fps = FRAMES_PER_SECOND / protocol.frame_skip
        self.metadata: dict[str, Any] = {**self.metadata, "render_fps": fps}
        self._game_seeds: np.ndarray | None = derive_seeds(seed, count=n_envs)
        self._episodes = Episodes(n_envs)
        self._episode_frames = np.zeros(n_envs, dtype=np.int64)

    @property
    def ale_env(self) -> AtariVectorEnv:
        """ALE's environment.

        Raises:
            RlAbnError: If this one is closed.
        """
        if self._ale is None:
            raise RlAbnError("expected an open environment, got one that was closed")
        return self._ale

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
        # The pipeline's statistics affect observations: equal seeds have to give equal games.
        if self._game_seeds is not None:
            self._pipeline.reset()
        frames, info = self.ale_env.reset(seed=self._game_seeds)
        if self._screens is not None:
            for i, n_frames in enumerate(info["episode_frame_number"]):
                seed = None if self._game_seeds is None else int(self._game_seeds[i])
                self._screens.reset(i, int(n_frames), seed)
        self._game_seeds = None
        self._episodes.restart()
        self._episode_frames[:] = info["episode_frame_number"]
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._pipeline.observe(frames, range(self.num_envs))

    def step_async(self, actions: np.ndarray) -> None:
        """Sends one action to each game, int [n_envs]."""
        if self._screens is not None:
            self._actions = np.array(actions, dtype=np.int64)
        self._in_step = True
        self.ale_env.send(np.ascontiguousarray(actions, dtype=np.int64))

    def step_wait(
        self,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Returns observations, raw rewards (float32), dones and infos, one per game."""
        frames, rewards, terminated, truncated, info = self.ale_env.recv()
        self._in_step = False
        rewards = rewards.astype(np.float32)
        self._episodes.add(rewards)
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        episode_frames = info["episode_frame_number"]
        # `terminated` is set by a lost life too; the frame count starts again only in a new game.
        ended = np.flatnonzero(truncated | (episode_frames < self._episode_frames))
        final = self._pipeline.observe(info["final_obs"][ended], ended) if ended.size else ()
        for i, final_observation in zip(ended, final, strict=True):
            infos[i]["episode"] = self._episodes.end(int(i))
            if truncated[i] and not terminated[i]:
                infos[i]["TimeLimit.truncated"] = True
                infos[i]["terminal_observation"] = final_observation
        for i in np.flatnonzero(dones):
            if "episode" not in infos[i]:
                infos[i]["lost_life"] = True
        self._episode_frames[:] = episode_frames
        if self._screens is not None:
            self._follow(self._screens, ended)
        observations = self._pipeline.observe(frames, range(self.num_envs))
        return observations, rewards, dones, infos

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Returns the games' screens, uint8 RGB [height, width, 3] each.

        A game that ended in the last step shows the start of the next, as its observation does.

        Raises:
            RlAbnError: Without a render mode.
        """
        if self._screens is None:
            raise RlAbnError(
                "expected AleVecEnv(..., render_mode='rgb_array'), got render_mode None"
            )
        return self._screens.images()

    def _follow(self, screens: Screens, ended: np.ndarray) -> None:
        """Repeats a step where the screens are; `ended` games start anew."""
        for i, action in enumerate(self._actions):
            screens.step(i, int(action))
        for i in ended:
            screens.reset(int(i), int(self._episode_frames[i]))

    def close(self) -> None:
        """Leaves the emulators to the next who wants such games; these are at their end."""
        if self._ale is not None and not self._in_step:
            IDLE.keep(self._kind, self._ale)
        self._ale = None


def make_ale(
    game: Game,
    protocol: Protocol,
    n_envs: int,
    *,
    life_loss_terminal: bool = False,
    n_threads: int = 0,
) -> AtariVectorEnv:
    """Builds ALE's vector environment for a protocol: raw rewards, same-step autoreset.

    Raises:
        RlAbnError: If ale-py has no such game.
    """
    check_game(game)
    frames = make_pipeline(protocol, n_envs).frame_spec
    return AtariVectorEnv(
        game.rom,
        n_envs,
        num_threads=n_threads or default_threads(n_envs),
        max_num_frames_per_episode=protocol.max_frames,
        repeat_action_probability=protocol.repeat_action_probability,
        full_action_space=protocol.full_action_space,
        autoreset_mode=AutoresetMode.SAME_STEP,
        img_height=frames.height,
        img_width=frames.width,
        grayscale=not frames.colour,
        stack_num=frames.stack,
        frameskip=protocol.frame_skip,
        maxpool=protocol.max_pool,
        noop_max=protocol.noop_max,
        use_fire_reset=protocol.fire_reset,
        # `episodic_life` would end the game at a lost life; this only reports it.
        life_loss_info=life_loss_terminal,
        reward_clipping=False,
    )


def check_game(game: Game) -> None:
    """Checks that ale-py has a game.

    Raises:
        RlAbnError: If not.
    """
    names = roms.get_all_rom_ids()
    if game.rom not in names:
        raise RlAbnError(
            f"expected a game that ale-py has, got rom = '{game.rom}': "
            f"{did_you_mean(game.rom, names)}"
        )


def default_threads(n_envs: int) -> int:
    """Returns how many threads run so many games: one a core, at most one a game."""
    return min(n_envs, os.cpu_count() or 1)
