"""Scores a detector on pictures it did not learn from, as it is and with ablated maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rl_abn.attention import MapOverride
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.progress import ProgressReport
from rl_abn.vision.detection.average_precision import AveragePrecisions, average_precisions
from rl_abn.vision.detection.build import boxes_of, load_detector
from rl_abn.vision.detection.data import BoxedExamples, open_split
from rl_abn.vision.detection.draws import drawn_estimate, draws_of
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.miss_rate import miss_rates, subsets
from rl_abn.vision.detection.predict import detect_all
from rl_abn.vision.detection.proposals import layout_of
from rl_abn.vision.detection.visible_parts import masses_on_visible
from rl_abn.vision.evaluation.evaluate import VisionEvaluation, override_named
from rl_abn.vision.evaluation.splits import SplitName
from rl_abn.vision.tasks.scores import Row
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.training.prepare import data_of


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
    found = detect_all(trained.detector, examples, tick=_telling(report, 0))
    own = scored.precisions(found)
    rows = [scored.row("perception branch", found, own)]
    done = len(examples)
    if trained.detector.abilities.answers:
        by_branch = detect_all(
            trained.detector, examples, by_branch=True, tick=_telling(report, done)
        )
        rows.append(scored.row("attention branch", by_branch, scored.precisions(by_branch)))
        done += len(examples)
    for change in interventions:
        layout = layout_of(trained.detector.branch)
        override: MapOverride = override_named(change, seed, layout, trained.device)
        changed = detect_all(trained.detector, examples, override, tick=_telling(report, done))
        precisions = scored.precisions(changed)
        row = scored.row(f"maps {change}", changed, precisions)
        rows.append(row._replace(intervention=change, difference=ap_difference(precisions, own)))
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
        self.draws = draws_of(len(examples), seed)
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


def ap_difference(changed: AveragePrecisions, own: AveragePrecisions) -> Estimate:
    """Returns what a change does to ap, with an interval over the same draws of both."""
    return drawn_estimate(changed.values["ap"] - own.values["ap"], changed.drawn - own.drawn)


def _telling(report: ProgressReport | None, done: int) -> Callable[[int], None] | None:
    """Returns what tells a report of pictures beside those that it counts already."""
    return None if report is None else lambda n: report.update(done + n)
