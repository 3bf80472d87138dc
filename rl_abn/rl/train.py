"""Trains an agent into a run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.recipes import RunRecipe, make_run_recipe, override
from rl_abn.rl import checkpoint
from rl_abn.rl.build import device_of, make_model, make_training_env, training_protocol
from rl_abn.rl.callbacks import (
    AttentionCallback,
    CheckpointCallback,
    ProgressCallback,
    StopCallback,
    StopSignal,
)
from rl_abn.rl.metrics import RunMetrics, make_logger
from rl_abn.rl.probes import ProbeLog, collect_probes
from rl_abn.rl.vec_env import check_game
from rl_abn.runs import META, Run, read_json

OnExists = Literal["resume", "new", "overwrite"]


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
) -> tuple[Run, bool]:
    """Makes a run's folder, or finds the one to go on with.

    Args:
        env: Name or path of the env recipe.
        agent: Name or path of the agent recipe.
        seed: Seed of everything random.
        settings: Overrides such as "algorithm.gamma=0.995".
        folder: The run folder; None is runs/ENV/AGENT/seed-S.
        on_exists: What to do where a run is already.
        device: The device, for the record.

    Returns:
        The run, and whether it goes on.

    Raises:
        RlAbnError: If a recipe or setting is wrong, or a run is there and `on_exists` does not
            say what to do.
    """
    recipe = make_run_recipe(env, agent, seed, settings)
    folder = folder or Path("runs", recipe.env_name, recipe.agent_name, f"seed-{seed}")
    device_of(device)
    check_game(recipe.env.game)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if folder.exists():
        if on_exists == "resume":
            return _resumable(Run.open(folder), recipe, settings), True
        if on_exists == "new":
            numbers = (folder.with_name(f"{folder.name}-{i}") for i in range(2, 10_000))
            folder = next(path for path in numbers if not path.exists())
        elif on_exists == "overwrite":
            Run.open(folder)  # refuses to remove what is no run
            shutil.rmtree(folder)
        else:
            raise RlAbnError(
                f"expected a new run folder, got '{folder}', which exists; "
                "add --on-exists resume, new or overwrite"
            )
    return Run.create(folder, recipe, device), False


def train(
    run: Run, *, resume: bool, device: str = "auto", report: ProgressReport | None = None
) -> Outcome:
    """Trains a run to the end, from the start or from its newest checkpoint.

    A Ctrl-C ends it after the update in hand, with a checkpoint.

    Args:
        run: The run.
        resume: Whether to go on from the newest checkpoint.
        device: Where the networks run.
        report: Shows how far it is.

    Raises:
        RlAbnError: If the device, the recipe or the checkpoint will not do, or the disk is full.
    """
    recipe = run.recipe
    settings = recipe.agent.train
    env = make_training_env(recipe)
    model = make_model(recipe, env, device_of(device))

    barrier, rng = 0, None
    if resume and run.checkpoints:
        barrier, rng = checkpoint.restore(model, run.checkpoint())
        checkpoint.restart_games(env, recipe.seed, barrier)
    if model.num_timesteps >= settings.steps:
        return Outcome(run, model.num_timesteps, interrupted=False)

    metrics = RunMetrics(run, resume_at=model.num_timesteps if resume else None)
    model.set_logger(make_logger(metrics))
    log_interval = max(1, settings.log_every // (env.num_envs * model.n_steps))
    checkpoints = CheckpointCallback(run, settings.checkpoint_every, barrier)
    stop = StopSignal()
    callbacks: list[BaseCallback] = [
        checkpoints,
        StopCallback(stop),
        AttentionCallback(metrics, _probes(run, resume, model.num_timesteps), log_interval),
    ]
    if report is not None:
        callbacks.append(ProgressCallback(report))
    if rng is not None:
        callbacks.append(_RestoreRng(rng))

    begun, before = time.monotonic(), model.num_timesteps
    run.update_meta(status="running", device=str(model.device))
    try:
        with stop.catching(), closing(metrics):
            model.learn(
                settings.steps - model.num_timesteps,
                callback=CallbackList(callbacks),
                log_interval=log_interval,
                reset_num_timesteps=False,
            )
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
            wall_time_s=round(_wall_time(run) + time.monotonic() - begun, 1),
            steps=model.num_timesteps,
        )
    return Outcome(run, model.num_timesteps, interrupted=stop.received is not None)


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
    if resume and (run.path / "attention").is_dir():
        log = ProbeLog.open(run)
        log.drop_after(step)
        return log
    probes = collect_probes(recipe.env.game, training_protocol(recipe), count, recipe.seed)
    return ProbeLog.create(run, probes)


def _wall_time(run: Run) -> float:
    return float(read_json(run.path / META).get("wall_time_s") or 0.0)


def _resumable(run: Run, asked: RunRecipe, settings: Sequence[str]) -> Run:
    """Checks that a run is what was asked for. Settings hold as they were; steps may grow."""
    recipe = run.recipe
    for field in ("env_name", "agent_name", "seed"):
        if getattr(recipe, field) != getattr(asked, field):
            raise RlAbnError(
                f"{run.path}: expected to resume {field.replace('_name', '')} "
                f"'{getattr(recipe, field)}', got '{getattr(asked, field)}'; use --on-exists new"
            )
    agent, env = override(recipe.agent, recipe.env, settings)
    steps = agent.train.steps
    train_table = agent.train.model_copy(update={"steps": recipe.agent.train.steps})
    if agent.model_copy(update={"train": train_table}) != recipe.agent or env != recipe.env:
        raise RlAbnError(
            f"{run.path}: expected the run's own settings to resume it, got others "
            f"({' '.join(settings)}); only train.steps may change, or use --on-exists new"
        )
    return run if steps == recipe.agent.train.steps else run.with_steps(steps)
