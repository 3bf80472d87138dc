"""Scores a network on pictures it did not learn from, as it is and with ablated maps."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.attention.interventions import Layout
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, warn
from rl_abn.progress import ProgressReport
from rl_abn.runs import write_output
from rl_abn.seeds import derive_seeds
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.calibration import calibration, draw_calibration
from rl_abn.vision.evaluation.interventions import on_pictures
from rl_abn.vision.evaluation.predict import (
    Predictions,
    Samples,
    predict,
    predict_sampled,
    truth_of,
)
from rl_abn.vision.evaluation.splits import SplitName, open_split, usual_split
from rl_abn.vision.tasks.controls import score_controls
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.tasks.scores import Row
from rl_abn.vision.training.build import Trained, VisionRun, load_network
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
        rows: The perception branch's first, which is the network's prediction.
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

    def __repr__(self) -> str:
        lines = [f"{self.title}, {self.run} at epoch {self.step:,}: {self.n:,} {self.split} images"]
        for row in self.rows:
            numbers = ", ".join(f"{name} {number:.3f}" for name, number in row.numbers.items())
            lines.append(f"  {row.name}: {numbers}")
        return "\n".join(lines)

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
            name += f"-interventions-{_short(' '.join(changes))}"
            if self.seed and not self.samples:  # it decides what is shuffled and swapped
                name += f"-seed-{self.seed}"
        if not _is_own(run, Path(self.data)):
            name += f"-data-{_short(str(Path(self.data).resolve()))}"
        return run.path / "evaluations" / f"{name}{ending}"


def _short(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _is_own(run: VisionRun, data: Path) -> bool:
    """Whether it is the data that a run was trained on."""
    try:
        return data.resolve() == data_of(run).resolve()
    except RlAbnError:  # nobody wrote down which that was
        return False


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
    task = trained.outputs.task
    if samples and not task.categorical:
        raise RlAbnError(
            f"expected a network that classifies for --samples, got one of {task.unit}"
        )
    if samples and run.recipe.agent.network.dropout == 0:
        warn(f"{run.recipe.agent_name} has no dropout (network.dropout): all samples are the same")
    path = data or data_of(run)
    split = split or usual_split(run, path)
    examples = open_split(run, trained.outputs, path, split, where)
    return evaluate_examples(
        run,
        trained,
        examples.in_memory(),
        data=path,
        split=split,
        samples=samples,
        interventions=interventions,
        seed=seed,
        report=report,
    )


def evaluate_examples(
    run: VisionRun,
    trained: Trained,
    examples: Examples,
    *,
    data: Path,
    split: SplitName,
    samples: int = 0,
    interventions: Sequence[str] = (),
    seed: int = 0,
    report: ProgressReport | None = None,
) -> VisionEvaluation:
    """Evaluates a run's network on the examples of a split; other arguments as in `evaluate_run`.

    Args:
        run: The run.
        trained: Its network.
        examples: The split, opened.
        data: Where it lies.
        split: Which it is.
        samples: Of MC dropout.
        interventions: On the maps.
        seed: Of what is drawn.
        report: Shows how far it is, in pictures.
    """
    task = trained.outputs.task
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
    if task.categorical:
        extra["reliability"] = calibration(own, sampled)
    for name in interventions:
        override = override_named(name, seed, trained.layout, trained.device)
        changed = predict(trained, examples, override, report, done)
        rows.append(scored.changed(name, changed))
        done += len(examples)
    rows += scored.baselines()
    return VisionEvaluation(
        run=str(run.path),
        data=str(data),
        title=run.recipe.env.title,
        split=split,
        step=trained.checkpoint.step,
        n=len(examples),
        rows=rows,
        samples=samples,
        seed=seed,
        extra=extra,
    )


class _Scored:
    """Makes rows of predictions of the same examples."""

    def __init__(self, outputs: Outputs, examples: Examples, own: Predictions) -> None:
        self.outputs, self.examples, self.own = outputs, examples, own
        self.task = outputs.task
        self.truth = truth_of(outputs, examples, own)

    def branches(self, said: Predictions) -> list[Row]:
        rows = [self.task.score("perception branch", said.outputs, self.truth)]
        if said.branch_outputs is not None:
            rows.append(self.task.score("attention branch", said.branch_outputs, self.truth))
        return rows

    def bayesian(self, sampled: Samples, n: int) -> list[Row]:
        named = {
            f"Bayesian, {n} samples": sampled.probabilities,
            "its perception branch": sampled.perception,
            "its attention branch": sampled.branch,
        }
        return [
            self.task.score_probabilities(name, probabilities, self.truth)
            for name, probabilities in named.items()
            if probabilities is not None
        ]

    def changed(self, name: str, said: Predictions) -> Row:
        row = self.task.score(f"maps {name}", said.outputs, self.truth)
        row = row._replace(intervention=name)
        return self.task.beside(row, said.outputs, self.own.outputs, self.truth)

    def baselines(self) -> list[Row]:
        """Of a drive: always the mean controls, and the driver's controls one frame before."""
        drive, mean = self.examples.drive, self.outputs.mean_controls
        if drive is None or mean is None:
            return []
        n_controls = 1 if self.truth.bins is not None else 2
        means = torch.tensor(mean).expand(len(drive.previous), -1)
        previous = torch.where(drive.previous.isnan(), means, drive.previous)
        named = {"mean of the training frames": means, "previous frame's control": previous}
        return [
            score_controls(name, controls[:, :n_controls], *self.truth.drive)
            for name, controls in named.items()
        ]


def _entropies(sampled: Samples, targets: Tensor) -> dict[str, Any]:
    """Returns mean entropies where it is right and wrong, and the attention branch's share."""
    right = sampled.probabilities.argmax(dim=1) == targets
    return {
        "entropy_right": float(sampled.entropy[right].mean()) if right.any() else None,
        "entropy_wrong": float(sampled.entropy[~right].mean()) if (~right).any() else None,
        "from_branch": float(sampled.from_branch.double().mean()),
    }


def override_named(name: str, seed: int, layout: Layout, device: torch.device) -> MapOverride:
    """Returns an intervention by name, as networks take it.

    Args:
        name: A name in `INTERVENTIONS`.
        seed: Of what it draws.
        layout: What the values of the network's maps lie beside.
        device: Of the maps.
    """
    draws = int(derive_seeds(seed, _DRAWS, count=1)[0])
    return on_pictures(name, draws, layout, device)
