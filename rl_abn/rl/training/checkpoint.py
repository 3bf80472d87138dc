"""A checkpoint is a barrier: all that decides what comes next is stored or derived from it."""

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
from rl_abn.seeds import derive_seeds

_BARRIER = 1  # keeps these seeds apart from those of the run's start and of evaluation
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
    barrier: _Count
    optimizer: _Optimizer
    episodes: list[_Episode]


class _Stored(NamedTuple):
    """All of a checkpoint, read and checked."""

    state: _State
    tensors: TrainingTensors


def save(run: Run, model: Model, barrier: int) -> Checkpoint:
    """Saves a model between two updates.

    Args:
        run: Where to.
        model: The algorithm.
        barrier: How many checkpoints came before; the games go on from seeds derived from it.
    """
    training, scalars = flatten_state(model.policy.optimizer)
    training["rng.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        training["rng.cuda"] = torch.cuda.get_rng_state(model.device)
    state = {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "barrier": barrier,
        "optimizer": {"scalars": scalars},
        "episodes": list(model.ep_info_buffer or ()),
    }
    return run.save_checkpoint(model.num_timesteps, model.policy.state_dict(), training, state)


def restart_games(env: TrainingEnv, seed: int, barrier: int, ranks: Ranks) -> None:
    """Says that the next reset begins the games that follow a barrier."""
    n_all = env.num_envs * ranks.count
    seeds = derive_seeds(seed, _BARRIER, barrier, count=n_all)
    env.seed_games(seeds[ranks.share(n_all, "games")])


def newest_whole(model: Model, run: Run) -> Checkpoint | None:
    """Finds the newest checkpoint of a run that a model can be given.

    A damaged one is named on standard error and set aside under another name, and the one before
    it is tried. What comes after is the same: the games that follow a barrier do not depend on
    whether it is reached once or twice.

    Returns:
        The checkpoint, or None where the run has none yet.

    Raises:
        RlAbnError: If there are checkpoints and none is whole; they stay where they are.
    """
    newest = run.newest_whole(partial(_read, model))
    return None if newest is None else newest[0]


def restore(model: Model, checkpoint: Checkpoint) -> tuple[int, dict[str, Tensor]]:
    """Gives a model all that a checkpoint stores but the random-number states, or nothing of it.

    Returns:
        The barrier's number, and the random-number states for `restore_rng`: they go in last,
        right before the first rollout.

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
    return state.barrier, stored.tensors.others


def restore_rng(rng: dict[str, Tensor], device: torch.device) -> None:
    """Puts the random-number generators back to where they were."""
    torch.set_rng_state(rng["rng.cpu"])
    if device.type == "cuda" and "rng.cuda" in rng:
        torch.cuda.set_rng_state(rng["rng.cuda"], device)


def _read(model: Model, checkpoint: Checkpoint) -> _Stored:
    """Reads and checks everything a checkpoint stores, and changes nothing.

    Raises:
        RlAbnError: If it is damaged or not this agent's.
    """
    state = read_state(checkpoint, _State, "num_timesteps")
    optimizer, scalars = model.policy.optimizer, state.optimizer.scalars
    tensors = read_tensors(checkpoint, model.policy, optimizer, scalars, others=_RNG)
    _check_rng(checkpoint.path / TRAINING, tensors.others, model.device)
    return _Stored(state, tensors)


def _check_rng(path: Path, rng: dict[str, Tensor], device: torch.device) -> None:
    """Tries the states on generators of nobody's, as only torch knows what it takes.

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
