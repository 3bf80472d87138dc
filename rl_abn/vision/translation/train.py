"""Trains a translator into a run folder."""

from __future__ import annotations

import math
import time
from contextlib import closing

import torch
from jaxtyping import Int64
from torch import Tensor

from rl_abn.errors import say
from rl_abn.files.room import check_room
from rl_abn.progress import ProgressReport
from rl_abn.recipes import TranslationRunRecipe
from rl_abn.recipes.translation import TranslationOptimizerTable, TranslatorRecipe
from rl_abn.runs import bytes_of
from rl_abn.runs.holding import held
from rl_abn.runs.metrics import MetricsFile
from rl_abn.runs.resume import check_checkpoints_are_there
from rl_abn.runs.training_session import Outcome, training_session
from rl_abn.seeds import derive_seeds
from rl_abn.vision.translation.checkpoint import Unlogged, restore_newest, save
from rl_abn.vision.translation.cyclegan import CycleGan, backward
from rl_abn.vision.translation.domains import Domain
from rl_abn.vision.translation.prepare import Material, TranslationRun
from rl_abn.vision.translation.sheets import Sheets

_WEIGHTS, _STEP, _SOURCE, _TARGET = 21, 22, 23, 24  # keep the seeds of one purpose apart
_BETA2 = 0.999
_SHOWN = ("adversarial", "cycle", "consistency")


def train(
    run: TranslationRun,
    material: Material,
    *,
    resume: bool,
    report: ProgressReport | None = None,
) -> Outcome[TranslationRunRecipe]:
    """Trains a run to the end, from the start or from its newest whole checkpoint.

    Ctrl-C, SIGTERM and SIGHUP end it after the step in hand, which is saved. The run folder is
    locked meanwhile. A run that this one replaces is put back where this one fails before its first
    checkpoint.

    Args:
        run: The run.
        material: What it is trained on.
        resume: Whether to go on from the newest checkpoint.
        report: Shows how far it is, in steps.

    Raises:
        RlAbnError: If a loss is no number any more, the checkpoint will not do, another process
            trains the run, or the disk is full.
    """
    with held(run.path):
        return _train(run, material, resume, report)


def _train(
    run: TranslationRun, material: Material, resume: bool, report: ProgressReport | None
) -> Outcome[TranslationRunRecipe]:
    training = Training(run, material, resume=resume)
    begun_at, steps = training.step, run.recipe.agent.train.steps
    check_room(run.path, 4 * bytes_of(training.model.state_dict().values()))
    if begun_at and report is not None:
        path = run.checkpoint(begun_at).path
        say(f"going on from step {begun_at:,} of {steps:,}; checkpoint {path}")
    if begun_at >= steps:
        return Outcome(run, begun_at, signal=None, numbers={})
    with (
        training_session(
            run,
            unit="steps",
            length=steps,
            done=lambda: training.step,
            device=str(material.device),
        ) as stop,
        closing(MetricsFile(run.path, begun_at if resume else None)) as metrics,
    ):
        while training.step < steps and stop.received is None:
            training.next_step(metrics, report)
        training.save()
    saved = training.step > begun_at
    return Outcome(run, training.step, stop.received, metrics.last_numbers, saved)


class Training:
    """A translator that is trained step by step.

    Args:
        run: Where to.
        material: What it is trained on.
        resume: Whether to go on from the newest checkpoint.

    Attributes:
        step: Steps done.
        model: The networks.
    """

    def __init__(self, run: TranslationRun, material: Material, *, resume: bool) -> None:
        self.run, self.material = run, material
        recipe = run.recipe.agent
        self.model = make_model(recipe, run.recipe.seed, material.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=recipe.optimizer.learning_rate,
            betas=(recipe.optimizer.beta1, _BETA2),
            fused=True,
        )
        self.step, unlogged = 0, Unlogged({}, 0)
        if resume:
            self.step, unlogged = restore_newest(run, self.model, self.optimizer)
            if not self.step:
                check_checkpoints_are_there(run, "steps", recipe.train.checkpoint_every)
        self._sums = {
            name: torch.tensor(value, dtype=torch.float64, device=material.device)
            for name, value in unlogged.sums.items()
        }
        self._summed, self._saved = unlogged.n, self.step
        n_probes = recipe.train.n_probes
        self._sheets = Sheets(run, material, n_probes) if n_probes else None
        self._source = _Order(material.source, run.recipe.seed, _SOURCE)
        self._target = _Order(material.target, run.recipe.seed, _TARGET)
        self._clock = time.monotonic()
        self._timed = 0
        self._shown: dict[str, str] = {}

    def next_step(self, metrics: MetricsFile, report: ProgressReport | None) -> None:
        """Makes one update; logs, draws a sheet and saves where the recipe says so.

        Raises:
            RlAbnError: If a loss is no number any more, or something cannot be written.
        """
        recipe, seed = self.run.recipe.agent, self.run.recipe.seed
        settings = recipe.train
        # All that a step draws comes from its number: a checkpoint needs no generator's state.
        random = torch.Generator().manual_seed(
            int(derive_seeds(seed, _STEP, self.step, count=1)[0])
        )
        source, target = (
            _mirrored(order.batch(self.step, settings.batch_size), settings.flip, random)
            for order in (self._source, self._target)
        )
        rate = learning_rate(recipe.optimizer, self.step, settings.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        losses = backward(self.model, source, target, recipe.loss, self.material.maps, random)
        self.optimizer.step()
        self.step += 1
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.double()
        self._summed, self._timed = self._summed + 1, self._timed + 1
        if report is not None:
            report.update(self.step, **self._shown)
        numbers = self._due(metrics, rate)
        if numbers:
            metrics.add(numbers, self.step)
        if self.step % settings.checkpoint_every == 0:
            self.save()

    def save(self) -> None:
        """Saves the step in hand, if that was not done."""
        if self.step > self._saved:
            sums = {name: float(value) for name, value in self._sums.items()}
            save(self.run, self.model, self.optimizer, self.step, Unlogged(sums, self._summed))
            self._saved = self.step

    def _due(self, metrics: MetricsFile, rate: float) -> dict[str, float]:
        """Returns what is to be logged of this step, and draws a sheet where one is due."""
        settings = self.run.recipe.agent.train
        last = self.step == settings.steps
        numbers: dict[str, float] = {}
        if self.step % settings.log_every == 0 or last:
            numbers |= self._means()
            numbers["train/learning_rate"] = rate
        if self._sheets is not None and (self.step % settings.sheet_every == 0 or last):
            sheet, distances = self._sheets.draw(self.model, self.step)
            metrics.write_image("sheet", sheet, self.step)
            numbers |= distances
        return numbers

    def _means(self) -> dict[str, float]:
        """Returns the means of the losses since the last time, and begins anew."""
        means = {name: float(value) / self._summed for name, value in self._sums.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                became = "NaN" if math.isnan(value) else "infinite"
                raise self.run.diverged(
                    f"the {name} loss became {became}", f"by step {self.step:,}"
                )
        now = time.monotonic()
        speed = self._timed / max(now - self._clock, 1e-9)
        self._clock, self._timed = now, 0
        self._sums, self._summed = {}, 0
        self._shown = {name: f"{means[name]:.3f}" for name in _SHOWN if name in means}
        numbers = {f"train/{name}_loss": value for name, value in means.items()}
        return {**numbers, "time/steps_per_second": speed}


class _Order:
    """The order in which a domain's pictures are shown: all of them, at random, then again."""

    def __init__(self, domain: Domain, seed: int, stream: int) -> None:
        self._domain, self._seed, self._stream = domain, seed, stream
        self._n = len(domain.pictures)
        self._epoch, self._shuffled = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, step: int, size: int) -> Tensor:
        """Returns the pictures of a step, [size, 3, H, W] in -1..1."""
        return self._domain.read(self._numbers(step, size))

    def _numbers(self, step: int, size: int) -> Int64[Tensor, " B"]:
        numbers = []
        for place in range(step * size, (step + 1) * size):
            epoch, at = divmod(place, self._n)
            if epoch != self._epoch:
                seed = int(derive_seeds(self._seed, self._stream, epoch, count=1)[0])
                random = torch.Generator().manual_seed(seed)
                self._epoch, self._shuffled = epoch, torch.randperm(self._n, generator=random)
            numbers.append(self._shuffled[at])
        return torch.stack(numbers)


def make_model(recipe: TranslatorRecipe, seed: int, device: torch.device) -> CycleGan:
    """Makes the networks of a recipe, as their training begins."""
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, for every device
        torch.manual_seed(int(derive_seeds(seed, _WEIGHTS, count=1)[0]))
        model = CycleGan(recipe)
    return model.to(device)


def learning_rate(table: TranslationOptimizerTable, step: int, steps: int) -> float:
    """Returns the learning rate of a step: constant, then falling to 0 in a straight line."""
    falling = steps * (1.0 - table.decay_from)
    return table.learning_rate * min(1.0, (steps - step) / falling)


def _mirrored(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    flipped = (torch.rand(len(pictures), generator=random) < share).to(pictures.device)
    return torch.where(flipped[:, None, None, None], pictures.flip(3), pictures).contiguous()
