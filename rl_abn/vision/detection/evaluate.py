"""Scores a detector on pictures it did not learn from, as it is and with ablated maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rl_abn.attention import MapOverride
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.explain.subject import Answer, Subject
from rl_abn.progress import ProgressReport
from rl_abn.vision.detection.average_precision import AveragePrecisions, average_precisions
from rl_abn.vision.detection.build import TrainedDetector, boxes_of, load_detector
from rl_abn.vision.detection.data import BoxedExamples, open_split
from rl_abn.vision.detection.detector import resized
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.map_mass import VisibleMass, visible_mass
from rl_abn.vision.detection.miss_rate import miss_rates, subsets
from rl_abn.vision.detection.predict import BATCH, detect_all
from rl_abn.vision.detection.proposals import POOLED
from rl_abn.vision.evaluation.evaluate import VisionEvaluation, override_named
from rl_abn.vision.evaluation.splits import SplitName
from rl_abn.vision.tasks.scores import Row
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.training.prepare import data_of

N_DRAWS = 200
"""Pictures are drawn again so often for an interval: each draw counts all matches anew."""


def evaluate_detector(
    run: VisionRun,
    *,
    data: Path | None = None,
    split: SplitName | None = None,
    samples: int = 0,
    interventions: Sequence[str] = (),
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> VisionEvaluation:
    """Evaluates a run's detector; the arguments are those of `evaluate_run`.

    Raises:
        RlAbnError: If the checkpoint or the data will not do, or samples are asked for.
    """
    if samples:
        raise RlAbnError("expected a network that classifies for --samples, got a detector")
    trained = load_detector(run, step=step, device=device_of(device))
    path = data or data_of(run)
    name, examples = open_split(run.recipe, trained.categories, path, split, trained.device)
    scored = _Scored(run, examples, seed)
    found = detect_all(trained.detector, examples, report=report)
    own = scored.precisions(found)
    rows = [scored.row("perception branch", found, own)]
    done = len(examples)
    if trained.detector.abilities.answers:
        by_branch = detect_all(
            trained.detector, examples, by_branch=True, report=report, done_before=done
        )
        rows.append(scored.row("attention branch", by_branch, scored.precisions(by_branch)))
        done += len(examples)
    for change in interventions:
        override: MapOverride = override_named(change, seed, trained.device)
        changed = detect_all(trained.detector, examples, override, report=report, done_before=done)
        precisions = scored.precisions(changed)
        row = scored.row(f"maps {change}", changed, precisions)
        rows.append(row._replace(intervention=change, difference=_difference(precisions, own)))
        done += len(examples)
    masses = masses_on_visible(trained, examples)
    return VisionEvaluation(
        run=str(run.path),
        data=str(path),
        title=run.recipe.env.title,
        split=name,
        step=trained.checkpoint.step,
        n=len(examples),
        rows=rows,
        samples=0,
        seed=seed,
        extra={"visible_mass": {of: mass._asdict() for of, mass in masses.items()}},
    )


class _Scored:
    """Scores what was found in the same pictures, with the same draws for every interval."""

    def __init__(self, run: VisionRun, examples: BoxedExamples, seed: int) -> None:
        self.boxed = examples.boxed
        n = len(examples)
        rng = np.random.default_rng(seed)
        self.draws = rng.integers(n, size=(N_DRAWS if n > 1 else 0, n))
        table = boxes_of(run.recipe)
        self.subsets = subsets(table.least_height, table.small_height)

    def precisions(self, found: Sequence[Found]) -> AveragePrecisions:
        boxed = self.boxed
        return average_precisions(boxed.pictures, found, boxed.categories, self.draws)

    def row(self, name: str, found: Sequence[Found], precisions: AveragePrecisions) -> Row:
        categories = range(1, len(self.boxed.categories) + 1)
        rates = miss_rates(self.boxed.pictures, found, self.subsets, categories, self.draws)
        missed = {f"missed_{subset}": rate for subset, rate in rates.items()}
        return Row(name, {**precisions.estimates, **missed})


def _difference(changed: AveragePrecisions, own: AveragePrecisions) -> Estimate:
    """Returns what a change does to ap, with an interval over the same draws of both."""
    value = changed.values["ap"] - own.values["ap"]
    differences = changed.drawn - own.drawn
    if len(differences) < 2:
        return Estimate(value, None, None)
    low, high = np.nanpercentile(differences, (2.5, 97.5))
    return Estimate(value, float(low), float(high))


def masses_on_visible(trained: TrainedDetector, examples: BoxedExamples) -> dict[str, VisibleMass]:
    """Estimates how much of the maps lies on the visible parts of occluded objects.

    Objects' own boxes are asked about, so that the map and what is visible share a frame.

    Args:
        trained: The detector.
        examples: Pictures with their objects.

    Returns:
        By map: "map" of the branch, where it has one a location, and "grad_cam" of the right
        category at the same features; none where no object is occluded.
    """
    detector = trained.detector
    pooled = []
    for numbers, images in examples.in_order(BATCH):
        pictures = [examples.boxed.pictures[number] for number in numbers]
        with torch.no_grad():
            shown = detector.look(images)
            boxes = [
                resized(torch.from_numpy(picture.boxes).to(trained.device), before, after)
                for picture, before, after in zip(
                    pictures, shown.original, shown.sizes, strict=True
                )
            ]
            pooled.append(detector.pool(shown, boxes))
    features = torch.cat(pooled)
    of_all = examples.boxed.pictures
    labels = torch.from_numpy(np.concatenate([p.labels for p in of_all])).to(trained.device)
    boxes_all = np.concatenate([picture.boxes for picture in of_all])
    visible = np.concatenate([picture.visible for picture in of_all])

    def ask(some: torch.Tensor, numbers: torch.Tensor) -> Answer:
        del numbers
        return Answer(detector.attend_pooled(some).logits, None)

    grid = (POOLED, POOLED)
    subject = Subject(features, ask, detector, grid, lambda some, _: some, ask)
    maps = {"grad_cam": grad_cam(subject, labels).cpu().numpy()}
    if detector.abilities.maps == "spatial":
        with torch.no_grad():
            own = detector.attend_pooled(features).map[:, 0]
        maps = {"map": own.cpu().numpy(), **maps}
    found = {name: visible_mass(array, boxes_all, visible) for name, array in maps.items()}
    return {name: mass for name, mass in found.items() if mass is not None}
