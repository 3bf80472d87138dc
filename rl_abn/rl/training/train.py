"""Trains an agent into a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from torch import Tensor

from rl_abn.command_line import typed_or
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, say
from rl_abn.files.room import check_room
from rl_abn.progress import ProgressReport
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.rl.envs.make import check_env
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.auto_settings import resolve_auto
from rl_abn.rl.training.build import Model, make_model, make_training_env, training_protocol
from rl_abn.rl.training.callbacks import (
    AttentionCallback,
    CheckpointCallback,
    FiniteLossCallback,
    ProgressCallback,
    StopCallback,
)
from rl_abn.rl.training.distributed import Ranks
from rl_abn.rl.training.edited_maps import edited_maps, has_edits
from rl_abn.rl.training.init import begin_with, find_initial
from rl_abn.rl.training.metrics import RunMetrics, make_logger
from rl_abn.rl.training.probes import open_probes
from rl_abn.rl.training.reliance_callback import RelianceCallback
from rl_abn.rl.training.teacher import find_teacher, keep_teacher, kept_teacher, secure_teacher
from rl_abn.runs import Checkpoint, OnExists, Run, bytes_of, default_folder, free_folder
from rl_abn.runs.holding import held, hold, let_go_on_failure
from rl_abn.runs.resume import check_checkpoints_are_there, run_to_resume
from rl_abn.runs.training_session import Outcome, training_session

if TYPE_CHECKING:
    from rl_abn.map_editing.edits import Edits  # brings SciPy along, which few trainings need


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
    """Makes a run's folder, or finds the one to go on with; locks it, for `train` to give free.

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
        RlAbnError: If a recipe or setting is wrong, there is no such teacher or agent to begin
            with, or a run is there and `on_exists` does not say what to do.
    """
    recipe = make_run_recipe(env, agent, seed, settings)
    folder = folder or default_folder(recipe)
    where = device_of(device)
    check_env(recipe.env)
    found = run_to_resume(folder, recipe, settings, device, on_exists)
    if found is not None:
        return found, True
    recipe.agent.check_sequences()
    table, init = recipe.agent.teacher, recipe.agent.init
    teacher = None if table is None else find_teacher(table, recipe)
    if init is not None:
        find_initial(init, recipe)
    in_turn = teacher is not None and teacher.view is not None
    folder = free_folder(folder, on_exists)
    with let_go_on_failure(folder):
        resolved = resolve_auto(recipe, where, ranks, in_turn=in_turn)
        words = ("train", "--env", env, "--agent", agent, "--seed", str(seed))
        run = Run.create(folder, resolved, device, command=typed_or(*words, settings=settings))
        hold(folder)
        if teacher is not None:
            keep_teacher(run, teacher)
        return run, False


def train(
    run: Run,
    *,
    resume: bool,
    device: str = "auto",
    report: ProgressReport | None = None,
    ranks: Ranks | None = None,
    edits: Edits | None = None,
    edit_coef: float = 1.0,
) -> Outcome[RunRecipe]:
    """Trains a run to the end, from the start or from its newest whole checkpoint.

    Ctrl-C, SIGTERM and SIGHUP end it after the running update, with a checkpoint. The run folder
    is locked meanwhile. A run that this one replaces is put back where this one fails before its
    first checkpoint.

    Args:
        run: The run.
        resume: Whether to go on from the newest checkpoint.
        device: Where the networks run.
        report: Shows the progress.
        ranks: The processes that train together; rank 0 alone writes and reports.
        edits: Edited maps of the run's kept positions, which the agent learns from now on; None
            keeps those given before, if any.
        edit_coef: gamma, the weight of the distance to the edited maps.

    Raises:
        RlAbnError: If the device, the recipe, the checkpoint or the edits do not fit, another
            process trains the run, the disk is full, or the loss is no number any more.
    """
    ranks = ranks or Ranks()
    with held(run.path, writes=ranks.is_main), ExitStack() as opened:
        return _train(run, resume, device, report, ranks, edits, edit_coef, opened)


def _train(
    run: Run,
    resume: bool,
    device: str,
    report: ProgressReport | None,
    ranks: Ranks,
    edits: Edits | None,
    edit_coef: float,
    opened: ExitStack,
) -> Outcome[RunRecipe]:
    recipe = run.recipe
    settings = recipe.agent.train
    if ranks.count > 1 and (edits is not None or has_edits(run)):
        raise RlAbnError(f"expected one process to train to edited maps, got {ranks.count}")
    ranks.broadcast(lambda: secure_teacher(run))
    teacher = None if recipe.agent.teacher is None else kept_teacher(run)
    env = make_training_env(recipe, ranks, teacher and teacher.view)
    opened.enter_context(closing(env))
    where = device_of(device)
    policy = None if teacher is None else teacher.policy.to(where)
    with _naming_memory(recipe):
        model = make_model(recipe, env, where, ranks, policy)
    n_bytes = 3 * bytes_of(model.policy.state_dict().values())  # with the optimizer's two moments
    ranks.broadcast(lambda: check_room(run.path, n_bytes))

    n_checkpoints, rng, newest = 0, None, None
    if resume:
        newest = ranks.broadcast(lambda: checkpoint.newest_whole(model, run))
        if newest is None:
            ranks.broadcast(lambda: _check_none_was_saved(run))
        elif ranks.is_main and report is not None:
            _say_where(run, newest)
    if newest is None and recipe.agent.init is not None:
        newest = ranks.broadcast(lambda: begin_with(run, model))
    if newest is not None:
        n_checkpoints, rng = checkpoint.restore(model, newest)
        checkpoint.seed_games(env, recipe.seed, n_checkpoints, ranks)
    if model.num_timesteps >= settings.steps:
        return Outcome(run, model.num_timesteps, signal=None, numbers={})

    numbers: dict[str, float] = {}
    with training_session(
        run,
        unit="steps",
        length=settings.steps,
        done=lambda: model.num_timesteps,
        writes=ranks.is_main,
        device=str(model.device),
        ranks=ranks.count,
    ) as stop:
        every = recipe.agent.steps_between_checkpoints
        checkpoints = CheckpointCallback(run, every, n_checkpoints)
        # First, so that no weights that are no numbers are saved.
        callbacks: list[BaseCallback] = [FiniteLossCallback(run), checkpoints, StopCallback(stop)]
        if rng is not None:
            callbacks.append(_RestoreRng(rng))
        log_interval = max(1, settings.log_every // (recipe.agent.algorithm.n_envs * model.n_steps))
        if not ranks.is_main:
            model.set_logger(Logger(folder=None, output_formats=[]))
            _learn(model, settings.steps, callbacks, log_interval)
            return Outcome(run, model.num_timesteps, stop.received, numbers)

        before = model.num_timesteps
        with closing(RunMetrics(run, resume_at=before if resume else None)) as metrics:
            model.set_logger(make_logger(metrics))
            probes = open_probes(run, resume, before)
            positions = None if probes is None else probes.probes
            edited = edited_maps(run, model.policy, positions, edits, edit_coef)
            if edited is not None:
                model.auxiliary_losses.append(edited.to(model.device))
            seen_rows = training_protocol(recipe).seen_rows
            if settings.eval_every:
                from rl_abn.rl.training.periodic_evaluation import EvaluationCallback  # SciPy

                evaluation = EvaluationCallback(run, metrics, stop)
                callbacks.insert(callbacks.index(checkpoints), evaluation)
            if settings.record_every:
                from rl_abn.rl.training.recording_callback import RecordingCallback

                callbacks.insert(callbacks.index(checkpoints), RecordingCallback(run, stop))
            callbacks.append(AttentionCallback(metrics, probes, log_interval, seen_rows))
            if recipe.agent.attention.has_maps:
                callbacks.append(RelianceCallback(recipe, settings.reliance_every))
            if report is not None:
                callbacks.append(ProgressCallback(report))
            _learn(model, settings.steps, callbacks, log_interval)
            if stop.received is None and metrics.last_step != model.num_timesteps:
                model.dump_logs()
            if model.num_timesteps > before:
                checkpoints.save()
            numbers = metrics.last_numbers
    saved = model.num_timesteps > before
    return Outcome(run, model.num_timesteps, stop.received, numbers, saved)


def _check_none_was_saved(run: Run) -> None:
    """Refuses to begin again a run whose checkpoints are missing."""
    agent = run.recipe.agent
    each = agent.algorithm.n_steps * agent.algorithm.n_envs
    first_due = -(-agent.steps_between_checkpoints // each) * each
    check_checkpoints_are_there(run, "steps", first_due)


def _say_where(run: Run, newest: Checkpoint) -> None:
    restart = ""
    if newest.is_recovery:
        restart = ": the games start anew, so the weights differ from an uninterrupted training's"
    total = run.recipe.agent.train.steps
    say(f"going on from step {newest.step:,} of {total:,}; checkpoint {newest.path}{restart}")


@contextmanager
def _naming_memory(recipe: RunRecipe) -> Iterator[None]:
    """Names the settings where a rollout does not fit into memory.

    Raises:
        RlAbnError: In the place of what NumPy and torch raise.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lack = ("alloc", "out of memory", "Storage size", "Invalid shape", "overflow")
        if isinstance(error, RuntimeError) and not any(word in str(error) for word in lack):
            raise
        algorithm = recipe.agent.algorithm
        raise RlAbnError(
            f"expected rollouts that fit into memory, got algorithm.n_steps = "
            f"{algorithm.n_steps:,} of algorithm.n_envs = {algorithm.n_envs:,} games"
        ) from None


def _learn(model: Model, steps: int, callbacks: list[BaseCallback], log_interval: int) -> None:
    model.learn(
        steps - model.num_timesteps,
        callback=CallbackList(callbacks),
        log_interval=log_interval,
        reset_num_timesteps=False,
    )


class _RestoreRng(BaseCallback):
    """Restores the random-number generators right before the first rollout."""

    def __init__(self, rng: dict[str, Tensor]) -> None:
        super().__init__()
        self.rng = rng

    def _on_training_start(self) -> None:
        checkpoint.restore_rng(self.rng, self.model.device)

    def _on_step(self) -> bool:
        return True
