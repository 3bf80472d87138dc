"""What a detector gets right and wrong in a picture, box by box."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from rl_abn.vision.detection.annotations import EVERY_CATEGORY, Picture
from rl_abn.vision.detection.boxes import inside_shares, overlaps
from rl_abn.vision.detection.found import Found

LEAST_SCORE = 0.5
"""What is found with a smaller probability does not count."""
LEAST_OVERLAP = 0.5
"""Intersection over union from which a box is an object's; share in a region to be ignored."""

Verdict = Literal["right", "wrong", "ignored"]


class Judged(NamedTuple):
    """A picture's found boxes beside its objects.

    Attributes:
        numbers: Of the found that are sure enough, the surest first, [s].
        verdicts: On each of these: an object's, nothing's, or in an ignored region.
        missed: Which of the n objects nothing was found for, [n].
    """

    numbers: Int64[np.ndarray, " s"]
    verdicts: tuple[Verdict, ...]
    missed: Bool[np.ndarray, " n"]

    @property
    def n_false(self) -> int:
        """How many of the found are nothing's."""
        return self.verdicts.count("wrong")

    @property
    def is_right(self) -> bool:
        """Whether every object was found, and nothing else."""
        return not self.n_false and not self.missed.any()


def judge(picture: Picture, found: Found, least_score: float = LEAST_SCORE) -> Judged:
    """Gives each found box, the surest first, the free object of its category it covers best.

    Args:
        picture: With its objects.
        found: What was found in it.
        least_score: From which a found box counts.
    """
    numbers = np.flatnonzero(found.scores >= least_score)
    numbers = numbers[np.argsort(-found.scores[numbers], kind="stable")]
    boxes, labels = found.boxes[numbers], found.labels[numbers]
    likeness = overlaps(boxes, picture.boxes)
    likeness[labels[:, None] != picture.labels[None]] = 0.0
    for_label = (picture.ignored_labels == EVERY_CATEGORY)[None] | (
        labels[:, None] == picture.ignored_labels[None]
    )
    covered = inside_shares(boxes, picture.ignored) * for_label
    free = np.ones(len(picture.boxes), bool)
    verdicts: list[Verdict] = []
    for own, ignored in zip(likeness, covered, strict=True):
        best = np.where(free, own, 0.0)
        if best.size and best.max() >= LEAST_OVERLAP:
            free[best.argmax()] = False
            verdicts.append("right")
        elif ignored.size and ignored.max() >= LEAST_OVERLAP:
            verdicts.append("ignored")
        else:
            verdicts.append("wrong")
    return Judged(numbers, tuple(verdicts), free)
