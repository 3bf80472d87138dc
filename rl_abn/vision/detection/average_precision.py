"""COCO's average precision, counted by pycocotools, with intervals over pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.files.text import brief
from rl_abn.vision.detection.annotations import EVERY_CATEGORY, Picture
from rl_abn.vision.detection.draws import drawn_estimate
from rl_abn.vision.detection.found import Found

_MOST_FOUND = 100  # detections of a picture that count, as in COCO's rules
_SIZES = ("small", "medium", "large")


class AveragePrecisions(NamedTuple):
    """Average precisions of N pictures.

    Attributes:
        values: ap, ap50, ap75, and ap_small, ap_medium, ap_large where there are such objects.
        drawn: ap of every draw, [R]; NaN of one without any object.
    """

    values: dict[str, float]
    drawn: np.ndarray

    @property
    def estimates(self) -> dict[str, Estimate]:
        """All of them; ap with its 95% interval over the pictures."""
        numbers = {name: Estimate(value, None, None) for name, value in self.values.items()}
        return {**numbers, "ap": drawn_estimate(self.values["ap"], self.drawn)}


def coco_tools() -> tuple[ModuleType, ModuleType]:
    """Returns pycocotools' modules of annotations and of scores.

    Raises:
        RlAbnError: If they are not installed.
    """
    try:
        return import_module("pycocotools.coco"), import_module("pycocotools.cocoeval")
    except Exception as error:  # a compiled module made for another NumPy raises more
        raise RlAbnError(
            f"expected the package pycocotools, which counts average precision, got {brief(error)}"
            ": pip install 'rl-abn[vision]'"
        ) from None


def average_precisions(
    pictures: Sequence[Picture],
    found: Sequence[Found],
    categories: Sequence[str],
    draws: np.ndarray,
) -> AveragePrecisions:
    """Scores what was found in pictures by COCO's rules.

    Args:
        pictures: N of them.
        found: What was found in each.
        categories: Their names, 1 to K.
        draws: Pictures drawn with replacement, [R, N], for the interval.

    Raises:
        RlAbnError: If pycocotools is missing.
    """
    annotations, scores = coco_tools()
    with redirect_stdout(io.StringIO()):  # it talks
        truth = annotations.COCO()
        truth.dataset = _truth(pictures, categories)
        truth.createIndex()
        results = _results(found)
        # Its own reader of results takes no empty list.
        answer = truth.loadRes(results) if results else annotations.COCO()
        evaluation = scores.COCOeval(truth, answer, "bbox")
        evaluation.params.imgIds = list(range(1, len(pictures) + 1))
        evaluation.params.maxDets = [_MOST_FOUND]
        if not results:
            evaluation.cocoDt.dataset = {**truth.dataset, "annotations": []}
            evaluation.cocoDt.createIndex()
        evaluation.evaluate()
        values = _values(evaluation)
        return AveragePrecisions(values, _drawn(evaluation, len(pictures), draws))


def _values(evaluation: Any) -> dict[str, float]:
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0]  # [IoU, recall, category, size]
    thresholds = evaluation.params.iouThrs
    of_all = precision[..., 0]
    values = {"ap": _mean(of_all)}
    for name, threshold in (("ap50", 0.5), ("ap75", 0.75)):
        values[name] = _mean(of_all[np.isclose(thresholds, threshold)])
    for i, size in enumerate(_SIZES, start=1):
        if (precision[..., i] > -1).any():  # -1: there is no such object
            values[f"ap_{size}"] = _mean(precision[..., i])
    return values


def _drawn(evaluation: Any, n: int, draws: np.ndarray) -> np.ndarray:
    """Returns ap of drawn pictures: matches are counted again, not made again."""
    matches, n_sizes = evaluation.evalImgs, len(evaluation.params.areaRng)
    of_categories = [
        _Matches.of(matches[start : start + n])  # the first of the sizes is all of them
        for start in range(0, len(matches), n_sizes * n)
    ]
    values = []
    for draw in draws:
        times = np.bincount(draw, minlength=n)
        there = [
            of.precision(times, evaluation.params.recThrs)
            for of in of_categories
            if of is not None and times @ of.n_objects
        ]
        values.append(_mean(np.stack(there, axis=-1)) if there else float("nan"))
    return np.array(values)


class _Matches(NamedTuple):
    """What was found of one category in N pictures: d detections, the surest first.

    Attributes:
        hits: At each of T thresholds of overlap, whether it is an object's, [T, d].
        counts: Whether it counts: one in an ignored region does not, [T, d].
        pictures: The number of each one's picture, [d].
        n_objects: Objects of every picture, [N].
    """

    hits: np.ndarray
    counts: np.ndarray
    pictures: np.ndarray
    n_objects: np.ndarray

    @classmethod
    def of(cls, evaluated: Sequence[Mapping[str, Any] | None]) -> _Matches | None:
        """Sorts pycocotools' matches of a category in N pictures; None where none has an object."""
        n_objects = np.zeros(len(evaluated), np.int64)
        there = [(i, one) for i, one in enumerate(evaluated) if one is not None]
        for i, one in there:
            n_objects[i] = np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)
        if not n_objects.any():
            return None
        scores = np.concatenate([one["dtScores"] for _, one in there])
        order = np.argsort(-scores, kind="stable")
        matched = np.concatenate([one["dtMatches"] for _, one in there], axis=1)[:, order] > 0
        counts = np.concatenate([one["dtIgnore"] for _, one in there], axis=1)[:, order] == 0
        pictures = np.repeat([i for i, _ in there], [len(one["dtScores"]) for _, one in there])
        return cls(matched & counts, counts, pictures[order], n_objects)

    def precision(self, times: np.ndarray, recalls: np.ndarray) -> np.ndarray:
        """Returns interpolated precision at R recalls, [T, R], as COCOeval.accumulate has it.

        Args:
            times: How often each picture counts, [N]; at least one object counts.
            recalls: Ascending, [R].
        """
        of_each = times[self.pictures]
        hits = np.cumsum(self.hits * of_each, axis=1)
        precision = hits / (np.cumsum(self.counts * of_each, axis=1) + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))  # a recall that is never reached has precision 0
        reached = hits / (times @ self.n_objects)
        return np.stack(
            [row[np.searchsorted(of, recalls)] for row, of in zip(best, reached, strict=True)]
        )


def _mean(precision: np.ndarray) -> float:
    there = precision[precision > -1]
    return float(there.mean()) if there.size else float("nan")


def _truth(pictures: Sequence[Picture], categories: Sequence[str]) -> dict[str, Any]:
    images, annotations = [], list[dict[str, Any]]()
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.size
        images.append({"id": number, "height": height, "width": width})
        for box, label, area in zip(picture.boxes, picture.labels, picture.areas, strict=True):
            annotations.append(_object(box, int(label), number) | {"area": float(area)})
        for box, label in zip(picture.ignored, picture.ignored_labels, strict=True):
            every = range(1, len(categories) + 1)
            for one in every if label == EVERY_CATEGORY else (int(label),):
                region = _object(box, one, number)
                annotations.append(region | {"iscrowd": 1, "ignore": 1})
    for i, annotation in enumerate(annotations, start=1):
        annotation["id"] = i
    kinds = [{"id": i, "name": name} for i, name in enumerate(categories, start=1)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": kinds}


def _object(box: np.ndarray, label: int, image: int) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, box)
    return {
        "image_id": image,
        "category_id": label,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
    }


def _results(found: Sequence[Found]) -> list[Mapping[str, Any]]:
    return [
        {**_object(box, int(label), number), "score": float(score)}
        for number, one in enumerate(found, start=1)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
