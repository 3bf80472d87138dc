"""Times whole units of work after a warm-up, and stops a training when enough is timed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.bench.spec import Spec


class Stopwatch:
    """Times from the first unit after the warm-up until the spec's minimum is reached.

    Args:
        spec: Lengths of the warm-up and of the timing.
        stride: The timing ends only after a multiple of this many units.
        on_begin: Called when the timing starts.

    Attributes:
        steps: Agent steps timed up to the last unit.
        seconds: Time they took.
    """

    def __init__(
        self, spec: Spec, *, stride: int = 1, on_begin: Callable[[], None] = lambda: None
    ) -> None:
        self.spec = spec
        self.stride = stride
        self.on_begin = on_begin
        self.steps = 0
        self.seconds = 0.0
        self._units = 0
        self._started: float | None = None
        self._steps_before = 0
        self._on_gpu = spec.device != "cpu" and torch.cuda.is_available()

    def boundary(self, steps: int) -> bool:
        """Ends a unit, after `steps` agent steps in total; returns whether the timing is over."""
        if self._on_gpu:
            torch.cuda.synchronize()  # queued GPU work belongs to the unit that queued it
        now = time.perf_counter()
        if self._started is None:
            if steps >= self.spec.warm_up:
                self.on_begin()
                self._started, self._steps_before = time.perf_counter(), steps
            return False
        self._units += 1
        self.steps, self.seconds = steps - self._steps_before, now - self._started
        return (
            self._units % self.stride == 0
            and self.steps >= self.spec.steps
            and self.seconds >= self.spec.seconds
        )


class StopwatchCallback(BaseCallback):
    """Times rollouts, each with the update after it; then calls `on_end` and stops the training."""

    def __init__(self, stopwatch: Stopwatch, on_end: Callable[[], None]) -> None:
        super().__init__()
        self.stopwatch = stopwatch
        self.on_end = on_end
        self._done = False

    def _on_rollout_start(self) -> None:
        self._done = self.stopwatch.boundary(self.model.num_timesteps)
        if self._done:
            self.on_end()

    def _on_step(self) -> bool:
        # SB3 can stop only after a step, so one more is played; it is not timed.
        return not self._done
