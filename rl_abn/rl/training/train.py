"""Trains an agent into a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from torch import Tensor

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.envs.ale_vec_env import check_game
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.auto_settings import resolve_auto
from rl_abn.rl.training.build import Model, make_model, make_training_env, training_protocol
from rl_abn.rl.training.callbacks import (
    AttentionCallback,
    CheckpointCallback,
    ProgressCallback,
    StopCallback,
)
from rl_abn.rl.training.distributed import Ranks
from rl_abn.rl.training.edited_maps import EditedMaps, edited_maps, has_edits
from rl_abn.rl.training.metrics import RunMetrics, make_logger
from rl_abn.rl.training.probes import ProbeLog, collect_probes
from rl_abn.runs import (
    OnExists,
    Run,
    default_folder,
    free_folder,
    is_taken,
)
from rl_abn.runs.resume import resumable
from rl_abn.stop_signal import StopSignal

if TYPE_CHECKING:
    from rl_abn.map_editing.edits import Edits  # brings SciPy along, which few trainings need

_HOUSEKEEPING = ("steps", "keep")  # fields of the train table that may change on the way


class Outcome(NamedTuple):
    """How a training ended.

    Attributes:
        run: The run.
        steps: Agent steps trained in all.
        interrupted: Whether a signal ended it early.
    """

    run: Run
    steps: int
    interrupted: bool


def prepare_run(
    *,
    env: str,
    agent: str,
    seed: int,
    settings: Sequence[str] = (),
    folder: Path | None = None,
    on_exists: OnExists | None = None,
    device: str = "auto",
    ranks: Ranks | None = None,
) -> tuple[Run, bool]:
    """Makes a run's folder, or finds the one to go on with.

    Args:
        env: Name or path of the env recipe.
        agent: Name or path of the agent recipe.
        seed: Seed of everything random.
        settings: Overrides such as "algorithm.gamma=0.995".
        folder: The run folder; None is runs/ENV/AGENT/seed-S.
        on_exists: What to do where a run is already.
        device: Where the networks will run; "auto" in the recipe is settled for it.
        ranks: The processes that train together.

    Returns:
        The run, and whether it goes on.

    Raises:
        RlAbnError: If a recipe or setting is wrong, or a run is there and `on_exists` does not
            say what to do.
    """
    recipe = make_run_recipe(env, agent, seed, settings)
    folder = folder or default_folder(recipe)
    where = device_of(device)
    check_game(recipe.env.game)
    if on_exists == "resume" and is_taken(folder):
        return resumable(Run.open(folder), recipe, settings, device, _HOUSEKEEPING), True
    folder = free_folder(folder, on_exists, "resume, new or overwrite")
    return Run.create(folder, resolve_auto(recipe, where, ranks), device), False


def train(
    run: Run,
    *,
    resume: bool,
    device: str = "auto",
    report: ProgressReport | None = None,
    ranks: Ranks | None = None,
    edits: Edits | None = None,
    edit_coef: float = 1.0,
) -> Outcome:
    """Trains a run to the end, from the start or from its newest whole checkpoint.

    A Ctrl-C ends it after the update in hand, with a checkpoint.

    Args:
        run: The run.
        resume: Whether to go on from the newest checkpoint.
        device: Where the networks run.
        report: Shows how far it is.
        ranks: The processes that train together; rank 0 alone writes and reports.
        edits: Of the maps of the run's kept positions, to which the agent is drawn from now on;
            None keeps those of before, if there are any.
        edit_coef: gamma, the weight of that.

    Raises:
        RlAbnError: If the device, the recipe, the checkpoint or the edits will not do, or the
            disk is full.
    """
    recipe = run.recipe
    settings = recipe.agent.train
    ranks = ranks or Ranks()
    if ranks.count > 1 and (edits is not None or has_edits(run)):
        raise RlAbnError(f"expected one process to train to edited maps, got {ranks.count}")
    env = make_training_env(recipe, ranks)
    model = make_model(recipe, env, device_of(device), ranks)

    barrier, rng = 0, None
    if resume:
        newest = ranks.broadcast(lambda: checkpoint.newest_whole(model, run))
        if newest is not None:
            barrier, rng = checkpoint.restore(model, newest)
            checkpoint.restart_games(env, recipe.seed, barrier, ranks)
    if model.num_timesteps >= settings.steps:
        return Outcome(run, model.num_timesteps, interrupted=False)

    log_interval = max(1, settings.log_every // (recipe.agent.algorithm.n_envs * model.n_steps))
    stop = StopSignal()
    checkpoints = CheckpointCallback(run, settings.checkpoint_every, barrier)
    callbacks: list[BaseCallback] = [checkpoints, StopCallback(stop)]
    if rng is not None:
        callbacks.append(_RestoreRng(rng))
    if not ranks.is_main:
        model.set_logger(Logger(folder=None, output_formats=[]))
        with stop.catching():
            _learn(model, settings.steps, callbacks, log_interval)
        return Outcome(run, model.num_timesteps, interrupted=stop.received is not None)

    metrics = RunMetrics(run, resume_at=model.num_timesteps if resume else None)
    model.set_logger(make_logger(metrics))
    probes = _probes(run, resume, model.num_timesteps)
    positions = None if probes is None else probes.probes
    edited = edited_maps(run, model.policy, positions, edits, edit_coef)
    model.edited = edited and EditedMaps(*(part.to(model.device) for part in edited))
    seen_rows = training_protocol(recipe).seen_rows
    callbacks.append(AttentionCallback(metrics, probes, log_interval, seen_rows))
    if report is not None:
        callbacks.append(ProgressCallback(report))

    begun, before = time.monotonic(), model.num_timesteps
    run.update_meta(status="running", device=str(model.device), ranks=ranks.count)
    try:
        with stop.catching(), closing(metrics):
            _learn(model, settings.steps, callbacks, log_interval)
            if stop.received is None and metrics.last_step != model.num_timesteps:
                model.dump_logs()
            if model.num_timesteps > before:
                checkpoints.save()
    except OSError as error:
        raise RlAbnError(
            f"{run.path}: cannot be written: {error.strerror or error}; "
            "what was saved before is whole, and --on-exists resume goes on from there"
        ) from None
    finally:
        done = model.num_timesteps >= settings.steps
        run.update_meta(
            status="finished" if done else "interrupted",
            wall_time_s=round(run.wall_time_s + time.monotonic() - begun, 1),
            steps=model.num_timesteps,
        )
    return Outcome(run, model.num_timesteps, interrupted=stop.received is not None)


def _learn(model: Model, steps: int, callbacks: list[BaseCallback], log_interval: int) -> None:
    model.learn(
        steps - model.num_timesteps,
        callback=CallbackList(callbacks),
        log_interval=log_interval,
        reset_num_timesteps=False,
    )


class _RestoreRng(BaseCallback):
    """Puts the generators back last of all, right before the first rollout."""

    def __init__(self, rng: dict[str, Tensor]) -> None:
        super().__init__()
        self.rng = rng

    def _on_training_start(self) -> None:
        checkpoint.restore_rng(self.rng, self.model.device)

    def _on_step(self) -> bool:
        return True


def _probes(run: Run, resume: bool, step: int) -> ProbeLog | None:
    recipe = run.recipe
    count = recipe.agent.train.n_probes
    if count == 0 or recipe.agent.attention.mechanism == "none":
        return None
    protocol = training_protocol(recipe)
    space = make_pipeline(protocol, 1).space
    if resume:
        with suppress(RlAbnError):  # none yet, or damaged: the seed says which they were
            log = ProbeLog.open(run)
            seen = log.probes.observations
            if seen.shape == (count, *space.shape) and seen.dtype == space.dtype:
                log.drop_after(step)
                return log
    probes = collect_probes(recipe.env.game, protocol, count, recipe.seed)
    log = ProbeLog.create(run, probes)
    log.drop_after(step)
    return log
