"""What happens beside the learning: progress, maps over time, checkpoints, a clean stop."""

from __future__ import annotations

import signal
import time

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.attention import map_statistics
from rl_abn.progress import ProgressReport
from rl_abn.render import overlay_grid
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import Model
from rl_abn.rl.training.metrics import RunMetrics
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.runs import Run
from rl_abn.stop_signal import StopSignal

N_DESCRIBED = 128


class StopCallback(BaseCallback):
    """Ends the training when a signal came, and forgets the rollout that was cut off.

    Several ranks ask each other at the first step of a rollout, so that all stop at the same one.

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
    """Reports return, speed and time left after every rollout.

    Args:
        report: Where to.
    """

    def __init__(self, report: ProgressReport) -> None:
        super().__init__()
        self.report = report

    def _on_training_start(self) -> None:
        self._begun = time.monotonic()
        self._steps_before = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        done = self.model.num_timesteps
        speed = (done - self._steps_before) / (time.monotonic() - self._begun)
        games = self.model.ep_info_buffer or ()
        mean = f"{np.mean([game['r'] for game in games]):.1f}" if games else "-"
        self.report.update(min(done, self._total), **{"return": mean, "SPS": f"{speed:.0f}"})

    @property
    def _total(self) -> int:
        return self.model._total_timesteps


class AttentionCallback(BaseCallback):
    """Logs what the maps are like, and keeps the maps of the probes.

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
            self._look()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._rollouts += 1
        if self._rollouts % self.log_interval == 0:
            self._describe()
            self._look()

    def _on_training_end(self) -> None:
        self._look()

    def _describe(self) -> None:
        policy = self.model.policy
        if not policy.map_names:
            return
        observations, state = self.model.rollout_buffer.spread_observations(N_DESCRIBED)
        with torch.no_grad():
            attention, _ = policy.attend(observations, state)
        means = torch.stack([s.mean(dim=0) for s in map_statistics(attention.map)]).tolist()
        for statistic, values in zip(("mean", "entropy", "coverage"), means, strict=False):
            for name, value in zip(policy.map_names, values, strict=True):
                self.logger.record(f"attention/{name}_map_{statistic}", value)

    def _look(self) -> None:
        if self.probes is None:
            return
        step = self.model.num_timesteps
        maps = self.probes.look(self.model.policy, step).numpy()
        frames = self.probes.probes.frames
        for i, name in enumerate(self.model.policy.map_names):
            grid = overlay_grid(frames, maps[:, i : i + 1], seen_rows=self.seen_rows)
            self.metrics.write_image(f"attention/{name}_map", grid, step)


class CheckpointCallback(BaseCallback):
    """Saves between two updates, and starts the games anew so that a resumed run goes on alike.

    Args:
        run: Where to.
        every: Steps of all games together between two checkpoints.
        barrier: How many checkpoints came before.
    """

    model: Model

    def __init__(self, run: Run, every: int, barrier: int) -> None:
        super().__init__()
        self.run = run
        self.every = every
        self.barrier = barrier

    def _on_training_start(self) -> None:
        self._last = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps // self.every == self._last // self.every:
            return
        self.save()
        env = self.training_env
        assert isinstance(env, AleVecEnv | PartitionedVecEnv)
        checkpoint.restart_games(env, self.run.recipe.seed, self.barrier, self.model.ranks)
        observations = env.reset()
        assert isinstance(observations, np.ndarray)
        self.model.restart(observations)

    def save(self) -> None:
        """Saves now."""
        self.barrier += 1
        if self.model.ranks.is_main:
            checkpoint.save(self.run, self.model, self.barrier)
            self.run.remove_old_checkpoints()
        self._last = self.model.num_timesteps
