"""ALE's C++ vector environment as a stable-baselines3 `VecEnv`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import Game, Protocol
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.seeds import derive_seeds

ALEInterface.setLoggerMode(LoggerMode.Error)


class AleVecEnv(VecEnv):
    """Atari games, several at once, on ALE's C++ threads.

    Observations are what the protocol's pipeline makes of the screens, [n_envs, C, H, W]: pixels
    as uint8, or normalised as float32. Rewards are raw. An ended game reset_mask at once: the
    observation after it is the first of the next game. `info["episode"]` comes at the end of a
    whole game, with its raw return "r", its length in agent steps "l" and the time "t" in seconds,
    as SB3's `Monitor` writes it. With `life_loss_terminal` a lost life is `done` although the game
    goes on, and brings "lost_life" instead of "episode". A game cut off by the frame cap has
    `info["TimeLimit.truncated"]` and `info["terminal_observation"]`, for bootstrapping.

    Args:
        game: Which game.
        protocol: How it is played.
        n_envs: Number of games.
        seed: Seeds the games, together with `seed()`.
        life_loss_terminal: None takes the protocol's word. Evaluation passes True, to
            tell agents that forget at a lost life.
        n_threads: Emulator threads; 0 is one a core, at most one a game.

    Raises:
        RlAbnError: If ale-py has no such game.

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
    ) -> None:
        if life_loss_terminal is None:
            life_loss_terminal = protocol.life_loss_terminal
        self.games = make_ale(
            game, protocol, n_envs, life_loss_terminal=life_loss_terminal, n_threads=n_threads
        )
        self._pipeline = make_pipeline(protocol, n_envs)
        self.render_mode = None
        super().__init__(n_envs, self._pipeline.space, spaces.Discrete(_n_actions(self.games)))
        self._game_seeds: np.ndarray | None = derive_seeds(seed, count=n_envs)
        self._started = time.monotonic()
        self._returns = np.zeros(n_envs, dtype=np.float64)
        self._lengths = np.zeros(n_envs, dtype=np.int64)
        self._episode_frames = np.zeros(n_envs, dtype=np.int64)

    @property
    def action_names(self) -> list[str]:
        """Names of the actions, by number."""
        return [action.name for action in self.games.ale.get_action_set()]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Says which games the next reset begins; None leaves it to chance."""
        entropy = np.random.SeedSequence().entropy if seed is None else seed
        assert isinstance(entropy, int)
        return self.seed_games(derive_seeds(entropy, count=self.num_envs))

    def seed_games(self, seeds: np.ndarray) -> Sequence[int]:
        """Gives every game of the next reset a seed of its own, int32 [n_envs]."""
        self._game_seeds = seeds
        return [int(seed) for seed in seeds]

    def reset(self) -> np.ndarray:
        """Begins new games; a second reset without a seed goes on from the emulators' own state."""
        # What a pipeline remembers decides what comes next: games seeded alike have to go on alike.
        if self._game_seeds is not None:
            self._pipeline.forget()
        screens, info = self.games.reset(seed=self._game_seeds)
        self._game_seeds = None
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._episode_frames[:] = info["episode_frame_number"]
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._pipeline.look(screens, range(self.num_envs))

    def step_async(self, actions: np.ndarray) -> None:
        """Sends one action to every game."""
        self.games.send(np.ascontiguousarray(actions, dtype=np.int64))

    def step_wait(
        self,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Returns observations, raw rewards (float32), dones and infos, one of each a game."""
        screens, rewards, terminated, truncated, info = self.games.recv()
        rewards = rewards.astype(np.float32)
        self._returns += rewards
        self._lengths += 1
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        frames = info["episode_frame_number"]
        # A lost life and the end of a game both say `terminated`; only a new game counts its
        # frames from the start again.
        ended = np.flatnonzero(truncated | (frames < self._episode_frames))
        last_seen = self._pipeline.look(info["final_obs"][ended], ended) if ended.size else ()
        for i, last in zip(ended, last_seen, strict=True):
            infos[i]["episode"] = {
                "r": float(self._returns[i]),
                "l": int(self._lengths[i]),
                "t": round(time.monotonic() - self._started, 6),
            }
            self._returns[i] = 0.0
            self._lengths[i] = 0
            if truncated[i] and not terminated[i]:
                infos[i]["TimeLimit.truncated"] = True
                infos[i]["terminal_observation"] = last
        for i in np.flatnonzero(dones):
            if "episode" not in infos[i]:
                infos[i]["lost_life"] = True
        self._episode_frames[:] = frames
        observations = self._pipeline.look(screens, range(self.num_envs))
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Nothing to do: the emulator's threads end with the object."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of the whole, once for each game asked for."""
        return [getattr(self, attr_name)] * len(list(self._indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the games are not separate Python objects."""
        raise NotImplementedError("AleVecEnv's games have no attributes of their own to set")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Refused: the games are not separate Python objects."""
        raise NotImplementedError(f"AleVecEnv's games have no method '{method_name}' of their own")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Says no for every game: nothing wraps them; `info["episode"]` comes from here."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        return self._get_indices(indices)


def make_ale(
    game: Game,
    protocol: Protocol,
    n_envs: int,
    *,
    life_loss_terminal: bool = False,
    n_threads: int = 0,
) -> AtariVectorEnv:
    """Builds ALE's own vector environment for a protocol, raw rewards, same-step reset_mask.

    Raises:
        RlAbnError: If ale-py has no such game.
    """
    check_game(game)
    screens = make_pipeline(protocol, n_envs).screens
    return AtariVectorEnv(
        game.rom,
        n_envs,
        num_threads=n_threads or min(n_envs, os.cpu_count() or 1),
        max_num_frames_per_episode=protocol.max_frames,
        repeat_action_probability=protocol.repeat_action_probability,
        full_action_space=protocol.full_action_space,
        autoreset_mode=AutoresetMode.SAME_STEP,
        img_height=screens.height,
        img_width=screens.width,
        grayscale=not screens.colour,
        stack_num=screens.stack,
        frameskip=protocol.frame_skip,
        maxpool=protocol.max_pool,
        noop_max=protocol.noop_max,
        use_fire_reset=protocol.fire_reset,
        # `episodic_life` would restart the game at a lost life; this only reports it.
        life_loss_info=life_loss_terminal,
        reward_clipping=False,
    )


def check_game(game: Game) -> None:
    """Asks whether ale-py has a game.

    Raises:
        RlAbnError: If not.
    """
    names = roms.get_all_rom_ids()
    if game.rom not in names:
        raise RlAbnError(
            f"expected a game that ale-py has, got rom = '{game.rom}': "
            f"{did_you_mean(game.rom, names)}"
        )


def _n_actions(games: AtariVectorEnv) -> int:
    return len(games.ale.get_action_set())
