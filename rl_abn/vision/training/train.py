"""Trains a network into a run folder."""

from __future__ import annotations

import math
import time
from contextlib import closing
from typing import Any, Protocol

import torch

from rl_abn.attention import LOGGED_STATISTICS, MapStatistics, map_statistics
from rl_abn.compute.device import device_of
from rl_abn.errors import say
from rl_abn.files.room import check_room
from rl_abn.progress import ProgressReport
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import METRICS, bytes_of
from rl_abn.runs.holding import held
from rl_abn.runs.metrics import MetricsFile, read_metrics
from rl_abn.runs.resume import check_checkpoints_are_there
from rl_abn.runs.training_session import Outcome, training_session
from rl_abn.seeds import derive_seeds
from rl_abn.stop_signal import StopSignal
from rl_abn.vision.data.batches import Batches, epoch_order
from rl_abn.vision.data.examples import DataSet, Examples
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.tasks.losses import Losses, Tally, losses_of
from rl_abn.vision.training.build import VisionRun, make_batches, make_network
from rl_abn.vision.training.checkpoint import restore_newest, snapshot
from rl_abn.vision.training.kinds import kind_of
from rl_abn.vision.training.optimizer import learning_rate, make_optimizer
from rl_abn.vision.training.probes import PictureProbes, make_probes

_WEIGHTS, _EPOCH = 11, 12  # keep the seeds of one purpose apart from those of others
_LOOK_EVERY = 20  # batches between two looks at the loss: each waits for the device


def train(
    run: VisionRun,
    data: DataSet,
    *,
    resume: bool,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Outcome[VisionRunRecipe]:
    """Trains a run to the end, from the start or from its newest whole checkpoint.

    Ctrl-C, SIGTERM and SIGHUP end it after the batch in hand; the epoch that was cut off is
    forgotten, and the end of the last whole one is saved. The run folder is locked meanwhile. A run
    that this one replaces is put back where this one fails before its first checkpoint.

    Args:
        run: The run.
        data: What it learns from and what it holds out.
        resume: Whether to go on from the newest checkpoint.
        device: Where the network runs.
        report: Shows how far it is, in batches.

    Raises:
        RlAbnError: If the loss is no number any more, the checkpoint will not do, another process
            trains the run, or the disk is full.
    """
    with held(run.path):
        return _train(run, data, resume, device, report)


def _train(
    run: VisionRun, data: DataSet, resume: bool, device: str, report: ProgressReport | None
) -> Outcome[VisionRunRecipe]:
    training = kind_of(run.recipe).training(run, data, device_of(device), resume=resume)
    epochs = run.recipe.agent.train.epochs
    check_room(run.path, 3 * bytes_of(training.network.state_dict().values()))
    if resume and training.epoch and report is not None:
        path = run.checkpoint(training.epoch).path
        say(f"going on from epoch {training.epoch:,} of {epochs:,}; checkpoint {path}")
    begun_at = training.epoch
    if training.epoch >= epochs and training.is_measured:
        return Outcome(run, training.epoch, signal=None, numbers={})
    with (
        training_session(
            run,
            unit="epochs",
            length=epochs,
            done=lambda: training.epoch,
            device=str(training.device),
        ) as stop,
        closing(MetricsFile(run.path, training.resumed_at)) as metrics,
    ):
        if not training.is_measured:
            training.look(metrics)
            metrics.add(training.held_out_numbers(), training.epoch)
        while training.epoch < epochs:
            numbers = training.next_epoch(stop, report)
            if numbers is None:
                break
            training.look(metrics)
            metrics.add(numbers, training.epoch)  # last: it says that the epoch was looked at
        training.save()
    saved = training.epoch > begun_at
    return Outcome(run, training.epoch, stop.received, metrics.last_numbers, saved)


class EpochTally(Protocol):
    """Sums over an epoch.

    Attributes:
        n: Pictures so far.
    """

    n: int

    def values(self) -> dict[str, float]:
        """Returns the means by name."""


class Training:
    """A network that is trained epoch by epoch.

    Args:
        run: Where to.
        data: What it learns from.
        device: Where it runs.
        resume: Whether to go on from the newest checkpoint.

    Attributes:
        epoch: Epochs done.
        resumed_at: Epochs that were done before; None for a new run.
    """

    def __init__(
        self, run: VisionRun, data: DataSet, device: torch.device, *, resume: bool
    ) -> None:
        self.run, self.data, self.device = run, data, device
        recipe = run.recipe
        seed = int(derive_seeds(recipe.seed, _WEIGHTS, count=1)[0])
        begins = not (resume and run.checkpoints)
        self.network = self._make_network(seed, pretrained=begins)
        self.optimizer = make_optimizer(self.network, recipe.agent.optimizer)
        self.batches = self._make_batches()
        self.epoch = restore_newest(run, self.network, self.optimizer) if resume else 0
        self.resumed_at = self.epoch if resume else None
        if resume and not self.epoch:
            # Before anything of the run is dropped. An epoch's checkpoint comes before its row.
            first_due = recipe.agent.train.checkpoint_every - 1
            check_checkpoints_are_there(run, "epochs", first_due)
        self.probes = self._make_probes()
        self._saved, self._saved_at = self.epoch, time.monotonic()
        self._ended = snapshot(self.network, self.optimizer, self.epoch)

    def _make_network(self, seed: int, *, pretrained: bool) -> VisionNetwork:
        recipe, outputs = self.run.recipe, self.data.outputs
        return make_network(recipe, outputs, self.device, seed, pretrained=pretrained)

    def _make_batches(self) -> Batches:
        return make_batches(self.run.recipe, self.data.outputs)

    def _make_probes(self) -> PictureProbes | None:
        return make_probes(self.run, self.data, self.epoch)

    def _make_tally(self) -> EpochTally:
        return Tally(self.data.outputs.task)

    def next_epoch(
        self, stop: StopSignal, report: ProgressReport | None = None
    ) -> dict[str, float] | None:
        """Trains an epoch, and saves where the recipe says so.

        Returns:
            Its numbers by name, or None where a signal cut it off.

        Raises:
            RlAbnError: If the loss is no number any more.
        """
        begun = time.monotonic()
        tally = self._learn(stop, report)
        if tally is None:
            return None
        seconds = time.monotonic() - begun
        self.epoch += 1
        settings = self.run.recipe.agent.train
        self._ended = snapshot(self.network, self.optimizer, self.epoch)
        every_s, waited = 60 * settings.checkpoint_every_minutes, time.monotonic() - self._saved_at
        if self.epoch % settings.checkpoint_every == 0 or 0 < every_s <= waited:
            self.save()
        numbers = {f"train/{name}": value for name, value in tally.values().items()}
        numbers["train/learning_rate"] = self._learning_rate
        numbers["time/images_per_second"] = tally.n / seconds
        return numbers | self.held_out_numbers()

    @property
    def is_measured(self) -> bool:
        """Whether the last epoch has its row of metrics.

        A run that was killed after the epoch's checkpoint and before its row has none.
        """
        path = self.run.path / METRICS
        rows = read_metrics(path) if path.is_file() else []
        return self.epoch == 0 or self.epoch in [row["step"] for row in rows]

    def held_out_numbers(self) -> dict[str, float]:
        """Returns what is measured of held-out pictures, by name; nothing where none are."""
        if self.data.held_out is None:
            return {}
        held_out, maps = self.measure(self.data.held_out)
        return {**{f"held_out/{name}": value for name, value in held_out.items()}, **maps}

    def measure(self, examples: Examples) -> tuple[dict[str, float], dict[str, float]]:
        """Returns losses and metrics on examples, and the mean statistics of their maps."""
        tally, maps = Tally(self.data.outputs.task), Sums()
        self.network.eval()
        with torch.no_grad():
            for _, batch in self.batches.in_order(examples, self.run.recipe.agent.train.batch_size):
                attention, losses = self._ask(batch.images, batch.targets, batch.speed)
                tally.add(attention, losses, batch.targets)
                if attention.map.shape[1]:
                    maps.add(map_statistics(attention.map))
        return tally.values(), maps.values()

    def look(self, metrics: MetricsFile) -> None:
        """Keeps and shows the maps of the fixed pictures."""
        if self.probes is not None:
            maps = self.probes.look(self.network, self.batches, self.epoch, self.device)
            grid = self.probes.grid(maps, self.data.outputs, self.network.abilities)
            metrics.write_image("attention/map", grid, self.epoch)

    def save(self) -> None:
        """Saves the end of the last whole epoch, if that was not done."""
        if self._ended.epoch > self._saved:
            self._ended.save(self.run)
            self._saved, self._saved_at = self._ended.epoch, time.monotonic()

    def _learn(self, stop: StopSignal, report: ProgressReport | None) -> EpochTally | None:
        recipe = self.run.recipe
        table, settings = recipe.agent.optimizer, recipe.agent.train
        # All randomness of an epoch comes from its number: a checkpoint needs no generator's state.
        order_seed, augment_seed, dropout_seed = (
            int(seed) for seed in derive_seeds(recipe.seed, _EPOCH, self.epoch, count=3)
        )
        batches = epoch_order(len(self.data.train), settings.batch_size, order_seed)
        augment = torch.Generator().manual_seed(augment_seed)
        torch.manual_seed(dropout_seed)
        tally = self._make_tally()
        self.network.train()
        for i, numbers in enumerate(batches):
            if stop.received is not None:
                return None
            self._learning_rate = learning_rate(
                table, self.epoch + i / len(batches), settings.epochs
            )
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate
            total = self._batch_loss(numbers, augment, tally)
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            self.optimizer.step()
            if i % _LOOK_EVERY == 0 or i == len(batches) - 1:
                loss = float(total.detach())
                self._check(loss)
            if report is not None:
                done = self.epoch * len(batches) + i + 1
                report.update(done, epoch=f"{self.epoch + 1}/{settings.epochs}", loss=f"{loss:.3f}")
        return tally

    def _batch_loss(
        self, numbers: torch.Tensor, augment: torch.Generator, tally: Any
    ) -> torch.Tensor:
        """Returns the loss of a batch and adds the batch to the epoch's tally."""
        batch = self.batches.batch(self.data.train, numbers, augment)
        attention, losses = self._ask(batch.images, batch.targets, batch.speed)
        tally.add(attention, losses, batch.targets)
        return losses.total

    def _ask(
        self, images: torch.Tensor, targets: torch.Tensor, speed: torch.Tensor | None
    ) -> tuple[VisionAttention, Losses]:
        with self.batches.compute.autocast(self.device):
            attention = self.network(images, speed)
        coef = self.run.recipe.agent.loss.branch_coef
        return attention, losses_of(attention, targets, self.data.outputs.task, coef)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            became = "NaN" if math.isnan(loss) else "infinite"
            raise self.run.diverged(f"the loss became {became}", f"in epoch {self.epoch + 1:,}")


class Sums:
    """Means of what maps are like, over batches; summed on the device."""

    def __init__(self) -> None:
        self._total: torch.Tensor | None = None
        self._n = 0

    def add(self, statistics: MapStatistics) -> None:
        """Adds a batch's statistics."""
        logged = [getattr(statistics, name) for name in LOGGED_STATISTICS]
        sums = torch.stack([s.double().mean(dim=1).sum() for s in logged])
        self._total = sums if self._total is None else self._total + sums
        self._n += len(statistics.mean)

    def values(self) -> dict[str, float]:
        """Returns the means by name; none where there were no maps."""
        if self._total is None:
            return {}
        names = [f"attention/map_{name}" for name in LOGGED_STATISTICS]
        return dict(zip(names, (self._total / self._n).tolist(), strict=True))
