"""Times trainings: SB3's and ours without a run folder, and a whole training of ours."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rl_abn.bench.phases import PhaseTimer, time_callbacks, time_phases
from rl_abn.bench.sb3 import make_sb3_model
from rl_abn.bench.spec import Spec
from rl_abn.bench.stopwatch import Stopwatch, StopwatchCallback
from rl_abn.compute.device import device_of
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training import train as training
from rl_abn.rl.training.auto_settings import resolve_auto
from rl_abn.rl.training.build import Model, make_model, make_training_env

# Much more than is timed, as in rl-zoo: learning rate schedules stay near their start.
STEPS = 10_000_000


class Timed(NamedTuple):
    """A training's timing: steps and seconds, and the share of the time per phase."""

    stopwatch: Stopwatch
    shares: dict[str, float]


def time_sb3(spec: Spec) -> Timed:
    """Times SB3's algorithm, with SB3's own logging."""
    probe = _Probe(make_sb3_model(spec), spec, acting="forward")
    probe.model.learn(STEPS, callback=probe.callback)
    return probe.timed()


def time_ours(spec: Spec) -> Timed:
    """Times one of our agents without a run folder: no metrics, maps or checkpoints are written."""
    device = device_of(spec.device)
    recipe = make_run_recipe(spec.env, spec.agent, spec.seed, spec.settings)
    recipe = resolve_auto(recipe, device)
    env = make_training_env(recipe)
    model = make_model(recipe, env, device)
    probe = _Probe(model, spec, acting="attend")
    model.learn(STEPS, callback=probe.callback, log_interval=_log_interval(model, recipe))
    return probe.timed()


def time_run(spec: Spec) -> tuple[Timed, float]:
    """Times a whole training, between two logging points.

    Returns:
        The timing, and the share of a training spent on logging, maps and checkpoints. The final
        checkpoint is timed and counted as often as the recipe saves one.
    """
    probes: list[_Probe] = []
    saves: list[float] = []

    def probed(make: Callable[..., Model]) -> Callable[..., Model]:
        def make_probed(recipe: RunRecipe, *args: Any) -> Model:
            model = make(recipe, *args)
            stride = _log_interval(model, recipe)
            probe = _Probe(model, spec, acting="attend", stride=stride)
            probes.append(probe)
            learn = model.learn

            def timed_learn(total_timesteps: int, callback: BaseCallback, **kwargs: Any) -> Model:
                time_callbacks(callback, probe.timer)
                both = CallbackList([callback, probe.callback])
                return learn(total_timesteps, callback=both, **kwargs)

            model.learn = timed_learn  # type: ignore[method-assign,assignment]
            return model

        return make_probed

    def timed_save(save: Callable[..., None]) -> Callable[..., None]:
        def save_timed(*args: Any) -> None:
            start = time.perf_counter()
            save(*args)
            saves.append(time.perf_counter() - start)

        return save_timed

    with (
        tempfile.TemporaryDirectory(prefix="rl-abn-bench-") as folder,
        _replaced(training, "make_model", probed),
        _replaced(checkpoint, "save", timed_save),
    ):
        run, _ = training.prepare_run(
            env=spec.env,
            agent=spec.agent,
            seed=spec.seed,
            settings=[*spec.settings, f"train.steps={STEPS}"],
            folder=Path(folder, "run"),
            device=spec.device,
        )
        training.train(run, resume=False, device=spec.device)
    timed = probes[0].timed()
    sps = timed.stopwatch.steps / timed.stopwatch.seconds
    saving = saves[-1] * sps / run.recipe.agent.steps_between_checkpoints
    return timed, timed.shares["logging"] + saving


class _Probe:
    """A stopwatch and a phase timer attached to an algorithm."""

    def __init__(
        self, model: OnPolicyAlgorithm, spec: Spec, *, acting: str, stride: int = 1
    ) -> None:
        self.model = model
        self.timer = PhaseTimer()
        time_phases(model, self.timer, acting)
        self.stopwatch = Stopwatch(spec, stride=stride, on_begin=self.timer.reset)
        self.callback = StopwatchCallback(self.stopwatch, on_end=self._end)
        self._shares: dict[str, float] = {}

    def _end(self) -> None:
        self._shares = self.timer.shares()

    def timed(self) -> Timed:
        return Timed(self.stopwatch, self._shares)


def _log_interval(model: OnPolicyAlgorithm, recipe: RunRecipe) -> int:
    """Returns the number of rollouts between two logging points of a training."""
    return max(1, recipe.agent.train.log_every // (model.n_envs * model.n_steps))


@contextmanager
def _replaced(owner: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Replaces a module's function by a wrapped one for the length of a `with` block.

    `train` builds its own model and callbacks and takes none from outside.
    """
    plain = getattr(owner, name)
    setattr(owner, name, wrap(plain))
    try:
        yield
    finally:
        setattr(owner, name, plain)
