"""Callbacks of a training: a clean stop, progress, maps over time, checkpoints."""

from __future__ import annotations

import math
import signal
import sys
import time

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.attention import LOGGED_STATISTICS, map_statistics
from rl_abn.progress import ProgressReport
from rl_abn.render import overlay_grid, scale_of
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.seeded_vec_env import SeededVecEnv
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import Model
from rl_abn.rl.training.metrics import RunMetrics
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.runs import Run
from rl_abn.stop_signal import StopSignal

N_DESCRIBED = 128
N_PULLED = 64


class StopCallback(BaseCallback):
    """Ends the training after a signal, without the rollout that was being collected.

    Several ranks agree at the first step of a rollout, so that all stop at the same step.

    Args:
        stop: The signal.
    """

    model: Model

    def __init__(self, stop: StopSignal) -> None:
        super().__init__()
        self.stop = stop
        self._steps_before = 0
        self._asked = False

    def _on_rollout_start(self) -> None:
        self._steps_before = self.model.num_timesteps
        self._asked = False

    def _on_step(self) -> bool:
        ranks = self.model.ranks
        if ranks.count > 1:
            if self._asked:
                return True
            self._asked = True
            if ranks.any(self.stop.received is not None, self.model.device):
                self.stop.received = self.stop.received or signal.SIGTERM
        if self.stop.received is None:
            return True
        self.model.num_timesteps = self._steps_before
        return False


class ProgressCallback(BaseCallback):
    """Reports mean return and steps per second after every rollout.

    Args:
        report: Where to.
    """

    def __init__(self, report: ProgressReport) -> None:
        super().__init__()
        self.report = report

    def _on_training_start(self) -> None:
        self._start = time.monotonic()
        self._steps_before = self.model.num_timesteps
        if self._steps_before:
            self.report.skip(self._steps_before, self._steps_before)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        done = self.model.num_timesteps
        speed = (done - self._steps_before) / (time.monotonic() - self._start)
        games = self.model.ep_info_buffer or ()
        mean = f"{np.mean([game['r'] for game in games]):.1f}" if games else "-"
        self.report.update(min(done, self._total), **{"return": mean, "SPS": f"{speed:.0f}"})

    @property
    def _total(self) -> int:
        return self.model._total_timesteps


class AttentionCallback(BaseCallback):
    """Logs statistics of the rollout's maps, and the maps of the probes.

    Args:
        metrics: Where the numbers and pictures go.
        probes: The probes, or None to keep none.
        log_interval: Rollouts between two logging points, as SB3 counts them.
        seen_rows: Rows of the screen that the maps cover; None is all.
    """

    model: Model

    def __init__(
        self,
        metrics: RunMetrics,
        probes: ProbeLog | None,
        log_interval: int,
        seen_rows: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.seen_rows = seen_rows
        self.metrics = metrics
        self.probes = probes
        self.log_interval = log_interval
        self._rollouts = 0

    def _on_training_start(self) -> None:
        self._rollouts = 0
        if self.model.num_timesteps == 0:
            self._log_probes()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._rollouts += 1
        if self._rollouts % self.log_interval == 0:
            self._log_statistics()
            self._log_probes()

    def _on_training_end(self) -> None:
        self._log_probes()

    def _log_statistics(self) -> None:
        policy = self.model.policy
        for name, norm in self.model.trunk_gradients(N_PULLED).items():
            self.logger.record(f"train/trunk_grad_norm_{name}", norm)
        if not policy.map_names:
            return
        observations, state = self.model.rollout_buffer.spread_observations(N_DESCRIBED)
        with torch.no_grad():
            attention, _ = policy.attend(observations, state)
        statistics = map_statistics(attention.map)
        for statistic in LOGGED_STATISTICS:
            means = getattr(statistics, statistic).mean(dim=0).tolist()
            for name, value in zip(policy.map_names, means, strict=True):
                self.logger.record(f"attention/{name}_map_{statistic}", value)

    def _log_probes(self) -> None:
        if self.probes is None:
            return
        step = self.model.num_timesteps
        abilities = self.model.policy.settings.abilities
        _, height, width = self.model.policy.features_extractor.out_shape
        maps = self.probes.look(self.model.policy, step).numpy()
        maps = abilities.drawn(maps, (height, width))
        scale = scale_of("fixed", sums_to_one=abilities.sums_to_one)
        frames = self.probes.probes.frames
        for i, name in enumerate(self.model.policy.map_names):
            grid = overlay_grid(frames, maps[:, i : i + 1], scale, self.seen_rows)
            self.metrics.write_image(f"attention/{name}_map", grid, step)


class FiniteLossCallback(BaseCallback):
    """Ends a training that has diverged, before anything of it is saved.

    It looks at the loss of an update, which was fetched for the log anyway, after that update.

    Args:
        run: The run, for the message.
    """

    model: Model

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._check()

    def _on_training_end(self) -> None:
        self._check()

    def _check(self) -> None:
        loss = self.logger.name_to_value.get("train/loss", 0.0)
        if math.isfinite(loss):
            return
        if not self.model.ranks.is_main:  # all of them see the same loss; one says so
            sys.exit(2)
        became = "NaN" if math.isnan(loss) else "infinite"
        raise self.run.diverged(f"the loss became {became}", f"at step {self.num_timesteps:,}")


class CheckpointCallback(BaseCallback):
    """Saves between two updates and restarts the games, as a run resumed from there does.

    Between those it saves recovery checkpoints, by time. They restart nothing: how fast a machine
    is never changes what is learned.

    Args:
        run: Where to.
        every: Steps of all games together between two checkpoints.
        n_checkpoints: How many checkpoints the run has had.
    """

    model: Model

    def __init__(self, run: Run, every: int, n_checkpoints: int) -> None:
        super().__init__()
        self.run = run
        self.every = every
        self.every_s = 60 * run.recipe.agent.train.checkpoint_every_minutes
        self.n_checkpoints = n_checkpoints

    def _on_training_start(self) -> None:
        self._last = self._last_kept = self.model.num_timesteps
        self._saved_at = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps // self.every == self._last // self.every:
            self._save_recovery()
            return
        self.save()
        env = self.training_env
        assert isinstance(env, SeededVecEnv | PartitionedVecEnv)
        checkpoint.seed_games(env, self.run.recipe.seed, self.n_checkpoints, self.model.ranks)
        observations = env.reset()
        assert isinstance(observations, np.ndarray)
        self.model.restart(observations)

    def save(self) -> None:
        """Saves now."""
        self.n_checkpoints += 1
        if self.model.ranks.is_main:
            checkpoint.save(self.run, self.model, self.n_checkpoints)
            self.run.remove_old_checkpoints()
        self._last = self._last_kept = self.model.num_timesteps
        self._saved_at = time.monotonic()

    def _save_recovery(self) -> None:
        is_due = 0 < self.every_s <= time.monotonic() - self._saved_at
        if is_due and self.model.num_timesteps > self._last_kept:
            if self.model.ranks.is_main:
                checkpoint.save(self.run, self.model, self.n_checkpoints + 1, recovery=True)
            self._last_kept = self.model.num_timesteps
            self._saved_at = time.monotonic()
