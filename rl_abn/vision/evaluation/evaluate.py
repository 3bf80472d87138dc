"""Scores a run's network on pictures it did not learn from, beside its changed selves."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rl_abn.attention import Intervention, MapOverride
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, warn
from rl_abn.progress import ProgressReport
from rl_abn.runs import write_output
from rl_abn.seeds import derive_seeds
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.calibration import calibration, draw_calibration
from rl_abn.vision.evaluation.predict import Predictions, Samples, predict, predict_sampled
from rl_abn.vision.evaluation.scores import (
    Row,
    beside,
    beside_controls,
    score_classes,
    score_controls,
    score_tasks,
    softmax,
)
from rl_abn.vision.evaluation.splits import SplitName, open_split, usual_split
from rl_abn.vision.tasks.outputs import Outputs, steering_of
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import data_of

_DRAWS, _SAMPLES = 13, 14  # keep the seeds of one purpose apart from those of others


class VisionEvaluation(NamedTuple):
    """How good a run's network is.

    Attributes:
        run: The run folder.
        data: Where the data lies.
        title: The data's name.
        split: "test" or "held_out".
        step: The checkpoint's epoch.
        n: Pictures.
        rows: The perception branch's first, which is the network's answer.
        samples: Samples of MC dropout; 0 where it was not sampled.
        seed: Of samples and shuffled maps.
        extra: What else there is to know: a classifier's reliability, mean entropies.
    """

    run: str
    data: str
    title: str
    split: str
    step: int
    n: int
    rows: list[Row]
    samples: int
    seed: int
    extra: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Returns the evaluation as plain data."""
        return {**self._asdict(), "rows": [row.as_json() for row in self.rows]}

    def keep(self, run: VisionRun) -> Path:
        """Writes the evaluation into the run's evaluations/."""
        path = self._place(run, ".json")
        write_output(path, self.as_json())
        return path

    def keep_diagram(self, run: VisionRun) -> Path | None:
        """Writes a classifier's reliability diagram beside it; None where there is none to draw."""
        if "reliability" not in self.extra:
            return None
        title = (
            f"{run.recipe.agent_name} on {self.title}, {self.split.replace('_', ' ')}, "
            f"{self.n:,} pictures, epoch {self.step}"
        )
        path = self._place(run, "-reliability.png")
        write_output(path, draw_calibration(self.extra["reliability"], title))
        return path

    def _place(self, run: VisionRun, ending: str) -> Path:
        name = f"epoch-{self.step}-{self.split}"
        if self.samples:
            name += f"-{self.samples}-samples-{self.seed}"
        changes = sorted(row.intervention for row in self.rows if row.intervention)
        if changes:
            name += f"-interventions-{sha256(' '.join(changes).encode()).hexdigest()[:8]}"
        return run.path / "evaluations" / f"{name}{ending}"


def evaluate_run(
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
    """Evaluates a run's network.

    Args:
        run: The run.
        data: Where the data lies; None is where it lay in training.
        split: "test" or "held_out"; None is the test pictures, where there are any.
        samples: Asks so often under MC dropout too; 0 does not.
        interventions: Names of what is done to its maps, one network more each.
        step: The checkpoint's epoch; None is the newest.
        seed: Of samples and shuffled maps.
        device: Where the network runs.
        report: Shows how far it is, in pictures.

    Raises:
        RlAbnError: If the checkpoint or the data will not do, or controls were to be sampled.
    """
    where = device_of(device)
    trained = load_network(run, step=step, device=where)
    if samples and trained.outputs.answers != "classes":
        raise RlAbnError(
            f"expected a network that answers classes for --samples, "
            f"got one of {trained.outputs.answers}"
        )
    if samples and run.recipe.agent.network.dropout == 0:
        warn(f"{run.recipe.agent_name} has no dropout (network.dropout): all samples are the same")
    path = data or data_of(run)
    split = split or usual_split(run, path)
    examples = open_split(run, trained.outputs, path, split, where)
    own = predict(trained, examples, report=report)
    scored = _Scored(trained.outputs, examples, own)
    rows = scored.branches(own)
    done, extra, sampled = len(examples), dict[str, Any](), None
    if samples:
        draws = int(derive_seeds(seed, _SAMPLES, count=1)[0])
        sampled = predict_sampled(trained, examples, samples, draws, report, done)
        rows += scored.bayesian(sampled, samples)
        extra |= _entropies(sampled, own.targets)
        done += len(examples)
    if trained.outputs.answers == "classes":
        extra["reliability"] = calibration(own, sampled)
    for name in interventions:
        changed = predict(trained, examples, _override(name, seed, where), report, done)
        rows.append(scored.changed(name, changed, rows[0]))
        done += len(examples)
    rows += scored.baselines()
    return VisionEvaluation(
        run=str(run.path),
        data=str(path),
        title=run.recipe.env.title,
        split=split,
        step=trained.checkpoint.step,
        n=len(examples),
        rows=rows,
        samples=samples,
        seed=seed,
        extra=extra,
    )


def n_passes(samples: int, interventions: Sequence[str]) -> int:
    """Returns how often an evaluation looks at every picture, samples counted as one."""
    return 1 + bool(samples) + len(interventions)


class _Scored:
    """Makes rows of answers to the same examples."""

    def __init__(self, outputs: Outputs, examples: Examples, own: Predictions) -> None:
        self.outputs, self.examples, self.own = outputs, examples, own
        self.bins = outputs.steering

    def branches(self, answers: Predictions) -> list[Row]:
        rows = [self._row("perception branch", answers.outputs)]
        if answers.branch_outputs is not None:
            rows.append(self._row("attention branch", answers.branch_outputs))
        return rows

    def bayesian(self, sampled: Samples, n: int) -> list[Row]:
        rows = [self._classes_row(f"Bayesian, {n} samples", sampled.probabilities)]
        rows.append(self._classes_row("its perception branch", sampled.perception))
        if sampled.branch is not None:
            rows.append(self._classes_row("its attention branch", sampled.branch))
        return rows

    def changed(self, name: str, answers: Predictions, intact: Row) -> Row:
        row = self._row(f"maps {name}", answers.outputs)._replace(intervention=name)
        own, targets = self.own.outputs, self.own.targets
        if self.outputs.answers == "controls":
            driven, blocks = self._drive()
            return beside_controls(row, answers.outputs, own, driven, blocks)
        return beside(row, intact, self.outputs.answers, answers.outputs, own, targets)

    def baselines(self) -> list[Row]:
        """Of a drive: what one who always does the mean does, and what was done a frame before."""
        drive, mean = self.examples.drive, self.outputs.mean_controls
        if drive is None or mean is None:
            return []
        driven, blocks = self._drive()
        n_controls = 1 if self.bins is not None else 2
        means = torch.tensor(mean).expand(len(driven), -1)
        previous = torch.where(drive.previous.isnan(), means, drive.previous)
        return [
            score_controls("mean of the training frames", means[:, :n_controls], driven, blocks),
            score_controls("previous frame's control", previous[:, :n_controls], driven, blocks),
        ]

    def _row(self, name: str, answers: Tensor) -> Row:
        targets = self.own.targets
        if self.outputs.answers == "tasks":
            return score_tasks(name, answers, targets)
        if self.outputs.answers == "controls":
            return score_controls(name, answers, *self._drive())
        return self._classes_row(name, softmax(answers))

    def _classes_row(self, name: str, probabilities: Tensor) -> Row:
        row = score_classes(name, probabilities, self.own.targets)
        if self.bins is None:
            return row
        steering = steering_of(self.bins, probabilities)[:, None]
        errors = score_controls(name, steering, *self._drive())
        return row._replace(numbers={**row.numbers, **errors.numbers})

    def _drive(self) -> tuple[Tensor, Tensor]:
        assert self.examples.drive is not None
        return self.examples.targets.cpu(), self.examples.drive.blocks


def _entropies(sampled: Samples, targets: Tensor) -> dict[str, Any]:
    """How unsure it is where it is right and where it is wrong, and which branch answers."""
    right = sampled.probabilities.argmax(dim=1) == targets
    return {
        "entropy_right": float(sampled.entropy[right].mean()) if right.any() else None,
        "entropy_wrong": float(sampled.entropy[~right].mean()) if (~right).any() else None,
        "from_branch": float(sampled.from_branch.double().mean()),
    }


def _override(name: str, seed: int, device: torch.device) -> MapOverride:
    draws = int(derive_seeds(seed, _DRAWS, count=1)[0])
    rule = Intervention(name, generator=torch.Generator(device).manual_seed(draws))
    return lambda maps: rule(maps, torch.ones(len(maps), dtype=torch.bool, device=maps.device))
