"""Times whole units of work after a warm-up, and ends a training once enough is timed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.bench.spec import Spec


class Stopwatch:
    """Times from the first boundary after the warm-up to the first at which enough is timed.

    Args:
        spec: How long the warm-up and the timing are.
        stride: Units that belong together: the timing ends after a multiple of them.
        on_begin: Called when the timing begins.

    Attributes:
        steps: Agent steps timed so far, up to the last boundary.
        seconds: How long they took.
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
        self._begun: float | None = None
        self._steps_before = 0
        self._on_gpu = spec.device != "cpu" and torch.cuda.is_available()

    def boundary(self, steps: int) -> bool:
        """Takes note that a unit begins, after `steps` agent steps in all; says whether it ends."""
        if self._on_gpu:
            torch.cuda.synchronize()  # what was asked of the GPU belongs to the unit that asked
        now = time.perf_counter()
        if self._begun is None:
            if steps >= self.spec.warm_up:
                self.on_begin()
                self._begun, self._steps_before = time.perf_counter(), steps
            return False
        self._units += 1
        self.steps, self.seconds = steps - self._steps_before, now - self._begun
        return (
            self._units % self.stride == 0
            and self.steps >= self.spec.steps
            and self.seconds >= self.spec.seconds
        )


class StopwatchCallback(BaseCallback):
    """Lets a stopwatch run over rollouts, each with the update after it, and ends the training.

    Args:
        stopwatch: The stopwatch.
        on_end: Called when the timing ends.
    """

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
        # SB3 asks whether to go on after a step only: one more is played, which does not count.
        return not self._done
