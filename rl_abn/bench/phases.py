"""Times the phases of a training: each moment belongs to exactly one phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy

from rl_abn.rl.envs.env_parts import env_parts_of

PHASES = ("emulator", "acting", "learning", "logging", "other")


class PhaseTimer:
    """Adds up the time spent in each phase; `current` is the current one, a name in `PHASES`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.current = "other"
        self.reset()

    def reset(self) -> None:
        """Sets all times to 0; the current phase goes on."""
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._since = self._clock()

    def switch(self, phase: str) -> str:
        """Starts a phase and returns the one before."""
        now = self._clock()
        self._seconds[self.current] += now - self._since
        before, self.current, self._since = self.current, phase, now
        return before

    def shares(self) -> dict[str, float]:
        """Returns each phase's share of the time since the reset; they sum to 1."""
        self.switch(self.current)
        total = sum(self._seconds.values())
        return {phase: seconds / total for phase, seconds in self._seconds.items()}

    def time_method(self, owner: Any, method: str, phase: str, *, then: str | None = None) -> None:
        """Wraps an object's method so that its run time counts for a phase.

        After it the phase is `then`, or the one before it.
        """
        plain = getattr(owner, method)

        @wraps(plain)
        def timed(*args: Any, **kwargs: Any) -> Any:
            before = self.switch(phase)
            try:
                return plain(*args, **kwargs)
            finally:
                self.switch(before if then is None else then)

        setattr(owner, method, timed)


def time_phases(model: OnPolicyAlgorithm, timer: PhaseTimer, acting: str) -> None:
    """Times an algorithm's phases.

    - emulator: sending actions and waiting for observations.
    - acting: from the call of the policy until the actions are sent. On a GPU the call returns
      before the result is computed, so waiting for it and sampling belong to this phase.
    - learning: the update.
    - logging: SB3's logging; callbacks are timed by `time_callbacks`.
    - other: everything else.

    Args:
        model: The algorithm, ours or SB3's.
        timer: Takes the times.
        acting: Name of the policy's method that is called during a rollout.
    """
    env = model.get_env()
    assert env is not None
    for part, _ in env_parts_of(env):
        timer.time_method(part, "step_async", "emulator", then="other")
        timer.time_method(part, "step_wait", "emulator", then="other")
    timer.time_method(model, "train", "learning", then="other")
    timer.time_method(model, "dump_logs", "logging")
    collect = model.collect_rollouts

    @wraps(collect)
    def collect_rollouts(*args: Any, **kwargs: Any) -> bool:
        # Only during the rollout: the update calls the policy too, perhaps a compiled method.
        with _timed_policy(model.policy, acting, timer):
            proceed = collect(*args, **kwargs)
        timer.switch("other")
        return proceed

    model.collect_rollouts = collect_rollouts  # type: ignore[method-assign]


def time_callbacks(callback: BaseCallback, timer: PhaseTimer) -> None:
    """Counts a callback's time as logging."""
    for method in ("on_training_start", "on_rollout_start", "on_step", "on_rollout_end"):
        timer.time_method(callback, method, "logging")


@contextmanager
def _timed_policy(policy: BasePolicy, method: str, timer: PhaseTimer) -> Iterator[None]:
    """Starts the acting phase when the policy is called, unless a callback calls it."""
    own, plain = vars(policy).get(method), getattr(policy, method)

    @wraps(plain)
    def acting(*args: Any, **kwargs: Any) -> Any:
        if timer.current != "logging":
            timer.switch("acting")
        return plain(*args, **kwargs)

    setattr(policy, method, acting)
    try:
        yield
    finally:
        if own is None:
            delattr(policy, method)
        else:
            setattr(policy, method, own)
