"""Miss rate against false positives per image (Dollár et al., PAMI 2012), by CityPersons' subsets.

The mean, in the logarithm, of the miss rates at nine rates of false positives from 0.01 to 1 per
image. Objects outside a subset, and ignored regions, are neither missed nor do detections of them
count (Zhang et al., CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from rl_abn.estimates import Estimate
from rl_abn.vision.detection.annotations import EVERY_CATEGORY, Picture
from rl_abn.vision.detection.boxes import inside_shares, overlaps
from rl_abn.vision.detection.draws import drawn_estimate
from rl_abn.vision.detection.found import Found

REFERENCES = np.logspace(-2.0, 0.0, 9)
"""False positives per image at which the miss rate is read."""
_SAME = 0.5  # intersection over union of a detection with its object
_TALLER = 1.25  # how much detections may be off a subset's heights
_LEAST = 1e-10  # a miss rate of 0 has no logarithm


class Subset(NamedTuple):
    """Objects that are counted.

    Attributes:
        heights: Least and most of their height, in pixels of the picture.
        visibility: Least and most share of their box that can be seen.
    """

    heights: tuple[float, float]
    visibility: tuple[float, float]

    def counts(self, picture: Picture) -> Bool[np.ndarray, " n"]:
        """Says which objects of a picture are counted."""
        tall = picture.boxes[:, 3] - picture.boxes[:, 1]
        seen = picture.visibility
        within = (tall >= self.heights[0]) & (tall <= self.heights[1])
        # Of two neighbouring subsets an object at the edge is in the upper one alone.
        least, most = self.visibility
        return np.asarray(within & (seen >= least) & ((seen < most) | (most >= 1.0)))


def subsets(least: float, small: float) -> Mapping[str, Subset]:
    """Returns CityPersons' subsets by name.

    Args:
        least: The least height that is reasonable, in pixels: 50 there.
        small: The most that is small: 75 there.
    """
    endless = float("inf")
    return {
        "reasonable": Subset((least, endless), (0.65, 1.0)),
        "small": Subset((least, small), (0.65, 1.0)),
        "heavy": Subset((least, endless), (0.2, 0.65)),
    }


class Matched(NamedTuple):
    """The detections of one picture and category that count.

    Attributes:
        scores: Of each, descending.
        hits: Whether it is an object's first.
        n_objects: Objects that are counted.
    """

    scores: Float[np.ndarray, " d"]
    hits: Bool[np.ndarray, " d"]
    n_objects: int


_NOTHING = Matched(np.zeros(0), np.zeros(0, bool), 0)


def match(picture: Picture, found: Found, subset: Subset, category: int) -> Matched:
    """Gives each detection, the surest first, the object that it covers best.

    An object has one detection; what is ignored has any number, which are left out.

    Args:
        picture: With its objects.
        found: What was found in it.
        subset: Which objects are counted.
        category: Of objects and detections, from 1.
    """
    own, right = picture.labels == category, found.labels == category
    if not own.any() and not right.any():
        return _NOTHING
    counted = own & subset.counts(picture)
    objects = picture.boxes[counted]
    of_category = np.isin(picture.ignored_labels, (EVERY_CATEGORY, category))
    ignored = np.concatenate([picture.boxes[own & ~counted], picture.ignored[of_category]])
    boxes, scores = found.boxes[right], found.scores[right]
    tall = boxes[:, 3] - boxes[:, 1]
    low, high = subset.heights
    fits = (tall >= low / _TALLER) & (tall <= high * _TALLER)
    boxes, scores = boxes[fits], scores[fits]
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    likeness, covered = overlaps(boxes, objects), inside_shares(boxes, ignored)
    free = np.ones(len(objects), bool)
    hits, left_out = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool)
    for i in range(len(boxes)):
        best = np.where(free, likeness[i], -1.0)
        if len(objects) and best.max() >= _SAME:
            free[best.argmax()] = False
            hits[i] = True
        else:
            left_out[i] = bool(len(ignored)) and covered[i].max() >= _SAME
    return Matched(scores[~left_out], hits[~left_out], len(objects))


class _Ranked(NamedTuple):
    """The d detections of one category in N pictures, the surest first.

    Attributes:
        hits: Whether each is an object's first, [d].
        pictures: The number of its picture, [d].
        n_objects: Objects of every picture that are counted, [N].
    """

    hits: Bool[np.ndarray, " d"]
    pictures: Int64[np.ndarray, " d"]
    n_objects: Int64[np.ndarray, " N"]

    @classmethod
    def of(cls, matched: Sequence[Matched]) -> _Ranked:
        order = np.argsort(-np.concatenate([one.scores for one in matched]), kind="stable")
        hits = np.concatenate([one.hits for one in matched])[order]
        pictures = np.repeat(np.arange(len(matched)), [len(one.hits) for one in matched])[order]
        return cls(hits, pictures, np.array([one.n_objects for one in matched]))

    def log_average(self, times: Int64[np.ndarray, " N"]) -> float:
        """Returns the log-average miss rate where each picture counts so many times."""
        n_objects = times @ self.n_objects
        if not n_objects:
            return float("nan")
        of_each = times[self.pictures]
        false_per_image = np.cumsum(of_each * ~self.hits) / times.sum()
        found = np.cumsum(of_each * self.hits) / n_objects
        # How many detections one may take without more false ones than a reference.
        taken = np.searchsorted(false_per_image, REFERENCES, side="right")
        missed = 1.0 - np.concatenate([[0.0], found])[taken]
        return float(np.exp(np.log(np.maximum(missed, _LEAST)).mean()))


def log_average(matched: Sequence[Matched]) -> float:
    """Returns the log-average miss rate over pictures, 0..1; NaN where nothing is counted."""
    return _Ranked.of(matched).log_average(np.ones(len(matched), np.int64))


def miss_rates(
    pictures: Sequence[Picture],
    found: Sequence[Found],
    chosen: Mapping[str, Subset],
    categories: Sequence[int],
    draws: np.ndarray,
) -> dict[str, Estimate]:
    """Returns the log-average miss rate of each subset that has objects, with its 95% interval.

    Of several categories it is the mean over those that the subset has.

    Args:
        pictures: N of them.
        found: What was found in each.
        chosen: The subsets, by name.
        categories: Those that are asked about, each from 1.
        draws: Pictures drawn with replacement, [R, N], for the interval.
    """
    once = np.ones(len(pictures), np.int64)
    times = [np.bincount(draw, minlength=len(pictures)) for draw in draws]
    rates: dict[str, Estimate] = {}
    for name, subset in chosen.items():
        there = {int(one) for p in pictures for one in p.labels[subset.counts(p)]}
        ranked = [
            _Ranked.of([match(p, f, subset, one) for p, f in zip(pictures, found, strict=True)])
            for one in categories
            if one in there
        ]
        if ranked:
            value, *drawn = (_mean([of.log_average(t) for of in ranked]) for t in (once, *times))
            rates[name] = drawn_estimate(value, drawn)
    return rates


def _mean(rates: Sequence[float]) -> float:
    """Returns the mean over the categories that have objects; NaN where none has."""
    there = [rate for rate in rates if not np.isnan(rate)]
    return float(np.mean(there)) if there else float("nan")
