"""The parts of an explanation that are a detector's: objects, scores, replaced maps, moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.errors import RlAbnError
from rl_abn.explain.randomisation import MakeMap, rank_correlation
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.explain.stability import NOISE, shift
from rl_abn.explain.subject import Answer, Subject
from rl_abn.files.parts import Part
from rl_abn.vision.detection.average_precision import AveragePrecisions, average_precisions
from rl_abn.vision.detection.build import TrainedDetector
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.evaluate import ap_difference
from rl_abn.vision.detection.objects import ProposalHeads, heads_subject, pool_boxes
from rl_abn.vision.detection.predict import detect_all
from rl_abn.vision.detection.proposals import layout_of
from rl_abn.vision.evaluation.evaluate import override_named
from rl_abn.vision.evaluation.interventions import on_pictures

OWN = "own"
_LEAST = 2
_SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class ExplainedObjects(NamedTuple):
    """N objects, each of another picture.

    Attributes:
        pictures: Their pictures' numbers, int64 [N].
        boxes: In the pictures' own pixels, float32 [N, 4].
        visible: The boxes of what can be seen of them, [N, 4].
        labels: Their categories, 1 to K, [N].
    """

    pictures: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    labels: np.ndarray

    def by_picture(self, n: int | None = None) -> dict[int, np.ndarray]:
        """Returns the boxes of the first n objects, or of all, by their picture's number."""
        numbers = self.pictures[:n].tolist()
        return {number: self.boxes[i : i + 1] for i, number in enumerate(numbers)}


def choose_objects(examples: BoxedExamples, n: int) -> ExplainedObjects:
    """Returns an object of each of n pictures that are spread over a split, in random order.

    One of a picture, so that intervals over the objects are intervals over pictures.

    Args:
        examples: The split.
        n: How many; of fewer pictures with objects, one of each.

    Raises:
        RlAbnError: If fewer than two pictures have an object.
    """
    of_all = examples.boxed.pictures
    there = np.array([i for i, picture in enumerate(of_all) if len(picture.boxes)], np.int64)
    if len(there) < _LEAST:
        raise RlAbnError(
            f"expected {_LEAST} pictures with objects or more to test maps on, got {len(there)}"
        )
    rng = np.random.default_rng(0)
    spread = np.linspace(0, len(there) - 1, min(n, len(there))).round().astype(np.int64)
    numbers = rng.permutation(there[spread])
    which = [int(rng.integers(len(of_all[number].boxes))) for number in numbers]
    some = [(of_all[number], i) for number, i in zip(numbers, which, strict=True)]
    return ExplainedObjects(
        numbers,
        np.stack([picture.boxes[i] for picture, i in some]),
        np.stack([picture.visible[i] for picture, i in some]),
        np.array([picture.labels[i] for picture, i in some]),
    )


def precision_part(
    trained: TrainedDetector,
    examples: BoxedExamples,
    intervention: str | None,
    draws: np.ndarray,
    seed: int,
    tick: Callable[[int], None],
) -> Part:
    """Scores a detector on a whole split.

    Args:
        trained: The detector.
        examples: The split.
        intervention: On the maps of all proposals; None leaves them.
        draws: As `average_precisions` takes them.
        seed: Of what the intervention draws.
        tick: Told how many pictures are done.
    """
    override: MapOverride | None = None
    if intervention is not None:
        layout = layout_of(trained.detector.branch)
        override = override_named(intervention, seed, layout, trained.device)
    found = detect_all(trained.detector, examples, override, tick=tick)
    boxed = examples.boxed
    scores = average_precisions(boxed.pictures, found, boxed.categories, draws)
    return Part(scores.values, {"drawn": scores.drawn})


def scores_of(parts: Mapping[str, Part], n: int) -> dict[str, Any]:
    """Returns average precisions with their differences to the intact detector's.

    Args:
        parts: As `precision_part` returns them: `OWN`, and by intervention.
        n: Pictures.
    """
    scores = {
        name: AveragePrecisions(part.result, part.arrays["drawn"]) for name, part in parts.items()
    }
    own = scores.pop(OWN)
    rows = {
        name: {
            "value": list(of.estimates["ap"]),
            "difference": list(ap_difference(of, own)),
            "values": of.values,
        }
        for name, of in scores.items()
    }
    intact = list(own.estimates["ap"])
    return {"metric": "AP", "own": intact, "values": own.values, "n": n, "rows": rows}


def fixed_objects(heads: ProposalHeads, subject: Subject, names: Sequence[str], seed: int) -> Part:
    """Replaces the maps of fixed objects.

    Args:
        heads: In evaluation mode.
        subject: The same at the objects' features.
        names: Of the interventions.
        seed: Of what is drawn.
    """
    own, arrays, device = subject.answers(), dict[str, np.ndarray](), subject.device
    for name in names:
        override = on_pictures(name, seed, layout_of(heads.branch), device)
        with torch.no_grad():
            now = heads(subject.images, override)
        for response, lost in losses(own, Answer(now.logits, None), chosen(own)).items():
            arrays[f"{name}|{response}"] = lost.cpu().numpy()
    return Part(None, arrays)


def moved_maps(
    trained: TrainedDetector,
    examples: BoxedExamples,
    boxes: Mapping[int, np.ndarray],
    own: Mapping[str, MakeMap],
    seed: int,
) -> Part:
    """Measures whether maps stay when the picture hardly changes, as `stability` does.

    There a pixel would be a cell of the features. So the pictures themselves are moved by a pixel,
    or get noise of 2% of their range, and the features are computed anew.

    Args:
        trained: The detector.
        examples: The pictures.
        boxes: Of each object, by its picture's number.
        own: What makes the detector's own maps; Grad-CAM's stands beside the first.
        seed: Of the noise.
    """
    heads = ProposalHeads(trained.detector).eval()
    before = heads_subject(heads, pool_boxes(trained, examples, boxes))
    choice = chosen(before.answers())
    makers: dict[str, MakeMap] = dict(list(own.items())[:1])
    makers["grad_cam"] = lambda subject: grad_cam(subject, choice)
    generator = torch.Generator().manual_seed(seed)

    def noisy(picture: Tensor) -> Tensor:
        return picture + NOISE * torch.randn(picture.shape, generator=generator).to(picture)

    def by(down: int, right: int) -> Callable[[Tensor], Tensor]:
        return lambda picture: shift(picture[None], down, right)[0]

    changed = [
        heads_subject(heads, pool_boxes(trained, examples, boxes, change))
        for change in (*(by(*one) for one in _SHIFTS), noisy)
    ]
    arrays = {}
    for name, make in makers.items():
        first = make(before)
        *moved, under_noise = [rank_correlation(first, make(subject)) for subject in changed]
        arrays[f"{name}|one pixel"] = np.mean(moved, axis=0)
        arrays[f"{name}|noise"] = under_noise
    return Part(None, arrays)
