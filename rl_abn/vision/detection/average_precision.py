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
from rl_abn.vision.detection.found import Found

_MOST_FOUND = 100  # detections of a picture that count, as in COCO's rules
_SIZES = ("small", "medium", "large")


class AveragePrecisions(NamedTuple):
    """Average precisions of N pictures.

    Attributes:
        values: ap, ap50, ap75, and ap_small, ap_medium, ap_large where there are such objects.
        drawn: ap of every draw, [R].
    """

    values: dict[str, float]
    drawn: np.ndarray

    @property
    def estimates(self) -> dict[str, Estimate]:
        """All of them; ap with its 95% interval over the pictures."""
        numbers = {name: Estimate(value, None, None) for name, value in self.values.items()}
        if len(self.drawn) > 1:
            low, high = np.percentile(self.drawn, (2.5, 97.5))
            numbers["ap"] = Estimate(self.values["ap"], float(low), float(high))
        return numbers


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
    sizes = len(evaluation.params.areaRng)
    matches = np.empty(len(evaluation.evalImgs), object)
    matches[:] = evaluation.evalImgs
    by_picture = matches.reshape(-1, sizes, n)[:, :1]  # objects of all sizes
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation._paramsEval.areaRng = evaluation.params.areaRng
    values = []
    for draw in draws:
        evaluation.evalImgs = by_picture[:, :, draw].reshape(-1).tolist()
        evaluation.accumulate()
        values.append(_mean(evaluation.eval["precision"]))
    return np.array(values)


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
