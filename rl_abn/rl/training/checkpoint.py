"""Saves and restores a training between two updates, so that a resumed run ends the same.

Weights, optimizer, counters and random-number states are stored. The games are not: after every
checkpoint all of them restart, from seeds derived from the run's seed and the checkpoint's number,
in the run that goes on as in one that is resumed. A recovery checkpoint, which is saved by time, is
the exception: the run that goes on keeps its games, and one resumed from it starts others.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.rl.training.build import Model, TrainingEnv
from rl_abn.rl.training.distributed import Ranks
from rl_abn.runs import TRAINING, Checkpoint, Run
from rl_abn.runs.optimizer import flatten_state
from rl_abn.runs.training_state import Plain, TrainingTensors, read_state, read_tensors
from rl_abn.seeds import Stream, derive_seeds

_RNG = ("rng.cpu", "rng.cuda")  # the generators whose states are stored
_Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Episode(Plain):
    """A finished game, as SB3 has it: return, length, time."""

    r: float
    length: int = Field(alias="l")
    t: float


class _Optimizer(Plain):
    """What an optimizer remembers beside tensors, by name."""

    scalars: dict[str, int | float]


class _State(Plain):
    """`state.json`."""

    num_timesteps: _Count
    n_updates: _Count
    n_checkpoints: _Count = Field(alias="barrier")  # its name in the file
    optimizer: _Optimizer
    episodes: list[_Episode]


class _Stored(NamedTuple):
    """All of a checkpoint, read and checked."""

    state: _State
    tensors: TrainingTensors


def save(run: Run, model: Model, n_checkpoints: int, *, recovery: bool = False) -> Checkpoint:
    """Saves a model between two updates.

    Args:
        run: Where to.
        model: The algorithm.
        n_checkpoints: How many the run has had, with this one; seeds the games that follow it.
        recovery: Whether it is a recovery checkpoint. The run that goes on does not count it.
    """
    training, scalars = flatten_state(model.policy.optimizer)
    training["rng.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        training["rng.cuda"] = torch.cuda.get_rng_state(model.device)
    state = {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "barrier": n_checkpoints,
        "optimizer": {"scalars": scalars},
        "episodes": list(model.ep_info_buffer or ()),
    }
    return run.save_checkpoint(
        model.num_timesteps, model.policy.state_dict(), training, state, recovery=recovery
    )


def seed_games(env: TrainingEnv, seed: int, n_checkpoints: int, ranks: Ranks) -> None:
    """Seeds the games that start at the next reset, after a checkpoint.

    Args:
        env: This rank's games.
        seed: The run's.
        n_checkpoints: How many checkpoints the run has had.
        ranks: The processes that train together; each seeds its share of the games.
    """
    n_all = env.num_envs * ranks.count
    seeds = derive_seeds(seed, Stream.RESTART, n_checkpoints, count=n_all)
    env.seed_games(seeds[ranks.share(n_all, "games")])


def newest_whole(model: Model, run: Run) -> Checkpoint | None:
    """Finds the newest checkpoint of a run that a model can be given.

    A damaged one is named on standard error and renamed, and the one before it is tried; the run
    ends the same, as the steps in between are trained again exactly.

    Returns:
        The checkpoint, or None where the run has none yet.

    Raises:
        RlAbnError: If there are checkpoints and none is whole; they stay where they are.
    """
    newest = run.newest_whole(partial(_read, model))
    return None if newest is None else newest[0]


def restore(model: Model, checkpoint: Checkpoint) -> tuple[int, dict[str, Tensor]]:
    """Loads a checkpoint into a model, except the random-number states; all of it or nothing.

    Returns:
        How many checkpoints the run had, and the random-number states for `restore_rng`, to be
        called right before the first rollout.

    Raises:
        RlAbnError: If the checkpoint is damaged or not this agent's; the model is as it was.
    """
    stored = _read(model, checkpoint)
    state = stored.state
    stored.tensors.load(model.policy, model.policy.optimizer)
    model.num_timesteps = state.num_timesteps
    model._n_updates = state.n_updates
    episodes = (episode.model_dump(by_alias=True) for episode in state.episodes)
    model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    return state.n_checkpoints, stored.tensors.others


def restore_rng(rng: dict[str, Tensor], device: torch.device) -> None:
    """Sets the random-number generators to stored states."""
    torch.set_rng_state(rng["rng.cpu"])
    if device.type == "cuda" and "rng.cuda" in rng:
        torch.cuda.set_rng_state(rng["rng.cuda"], device)


def _read(model: Model, checkpoint: Checkpoint) -> _Stored:
    """Reads and checks everything a checkpoint stores; the model stays as it is.

    Raises:
        RlAbnError: If it is damaged or not this agent's.
    """
    state = read_state(checkpoint, _State, "num_timesteps")
    optimizer, scalars = model.policy.optimizer, state.optimizer.scalars
    updated = state.n_updates > 0
    tensors = read_tensors(checkpoint, model.policy, optimizer, scalars, _RNG, updated=updated)
    _check_rng(checkpoint.path / TRAINING, tensors.others, model.device)
    return _Stored(state, tensors)


def _check_rng(path: Path, rng: dict[str, Tensor], device: torch.device) -> None:
    """Tries the states on new generators, as only torch knows which it accepts.

    Raises:
        RlAbnError: If one is missing or torch refuses it.
    """
    if "rng.cpu" not in rng:
        raise RlAbnError(f"{path}: expected a tensor 'rng.cpu', got none")
    for name in {"rng.cpu", f"rng.{device.type}"} & rng.keys():
        where = device if name == "rng.cuda" else torch.device("cpu")
        try:
            torch.Generator(where).set_state(rng[name])
        except (RuntimeError, TypeError) as error:
            raise RlAbnError(
                f"{path}: expected a random-number state in {name}, "
                f"got {tuple(rng[name].shape)}, {rng[name].dtype}: {str(error).splitlines()[0]}"
            ) from None
