"""Probes: fixed game positions whose attention maps are stored at every logging point."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.recipes import AnyEnvRecipe
from rl_abn.rl.envs.make import AnyProtocol, make_single_env, observation_space
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import training_protocol
from rl_abn.runs import PROBES, MapLog, Run, open_or_create, save_tensors
from rl_abn.seeds import Stream, derive_seeds

_FIRST_STEP, _STEPS_APART = 20, 45


class Probes(NamedTuple):
    """Fixed game positions.

    Attributes:
        observations: What the agent sees, [P, C, H, W]; uint8 or float32.
        frames: The colour screen at the same moments, uint8 [P, H, W, 3]; 210x160 in most games.
    """

    observations: np.ndarray
    frames: np.ndarray


def collect_probes(recipe: AnyEnvRecipe, protocol: AnyProtocol, count: int, seed: int) -> Probes:
    """Plays at random and keeps positions spread over the games' course.

    Args:
        recipe: Which game.
        protocol: How it is played.
        count: P, how many positions.
        seed: Of the play.
    """
    env = make_single_env(recipe, protocol)
    rng = np.random.default_rng([seed, Stream.PROBES])
    observations: list[np.ndarray] = []
    frames: list[np.ndarray] = []
    game_seeds = (int(derive_seeds(seed, Stream.PROBES, i, count=1)[0]) for i in itertools.count())
    observation, done = env.reset(next(game_seeds)), False
    for step in range(_FIRST_STEP + (count - 1) * _STEPS_APART + 1):
        if done:
            observation = env.reset(next(game_seeds))
        if step >= _FIRST_STEP and (step - _FIRST_STEP) % _STEPS_APART == 0:
            observations.append(observation)
            frames.append(env.frame.copy())
        observation, _, terminated, truncated = env.step(int(rng.integers(len(env.action_names))))
        done = terminated or truncated
    return Probes(np.stack(observations), np.stack(frames))


class ProbeLog(MapLog):
    """The probes of a run and the maps it had for them at every logging point, raw, float16.

    Args:
        run: The run.
        probes: Its probes.
    """

    def __init__(self, run: Run, probes: Probes) -> None:
        super().__init__(run.path, len(probes.frames))
        self.probes = probes

    @classmethod
    def create(cls, run: Run, probes: Probes) -> ProbeLog:
        """Keeps new probes in a run."""
        log = cls(run, probes)
        save_tensors(
            log.folder / PROBES,
            {
                "observations": torch.from_numpy(probes.observations),
                "frames": torch.from_numpy(probes.frames),
            },
        )
        return log

    @classmethod
    def open(cls, run: Run) -> ProbeLog:
        """Reads the probes of a run.

        Raises:
            RlAbnError: If the run kept none, or the file is damaged.
        """
        tensors = cls.load_pictures(run.path, "probe positions", "an agent")
        path = run.path / "attention" / PROBES
        try:
            probes = Probes(tensors["observations"].numpy(), tensors["frames"].numpy())
        except KeyError as error:
            raise RlAbnError(f"{path}: expected a tensor {error}, got none") from None
        except TypeError as error:  # a type that numpy has not
            raise RlAbnError(f"{path}: expected pictures, got {error}") from None
        types = (str(probes.observations.dtype), str(probes.frames.dtype))
        alike = {(array.ndim, len(array)) for array in probes} == {(4, len(probes.frames))}
        if not alike or types not in (("uint8", "uint8"), ("float32", "uint8")):
            shapes = " and ".join(f"{array.dtype} {array.shape}" for array in probes)
            raise RlAbnError(f"{path}: expected pictures of as many probes, got {shapes}")
        return cls(run, probes)

    def look(self, policy: AttentionPolicy, step: int) -> Tensor:
        """Stores and returns the policy's maps of the probes, [P, m, h, w]."""
        observations = torch.as_tensor(self.probes.observations, device=policy.device)
        with torch.no_grad():
            attention, _ = policy.attend(observations)
        maps = attention.map.cpu()
        self.keep(maps, step)
        return maps


def open_probes(run: Run, resume: bool, step: int) -> ProbeLog | None:
    """Opens a run's probes, or keeps new ones; None where it is to keep none.

    Args:
        run: The run.
        resume: Whether it goes on.
        step: Agent steps trained; the maps of later ones are dropped.
    """
    recipe = run.recipe
    count = recipe.agent.train.n_probes
    if count == 0 or not recipe.agent.attention.has_maps:
        return None
    protocol = training_protocol(recipe)

    def open_log() -> ProbeLog:
        log, space = ProbeLog.open(run), observation_space(recipe.env, protocol)
        seen = log.probes.observations
        if seen.shape != (count, *space.shape) or seen.dtype != space.dtype:
            raise RlAbnError(f"{run.path}: expected {count} probes, got others")
        return log

    def create_log() -> ProbeLog:  # the seed says which they were
        probes = collect_probes(recipe.env, protocol, count, recipe.seed)
        return ProbeLog.create(run, probes)

    return open_or_create(open_log, create_log, resume=resume, step=step)
