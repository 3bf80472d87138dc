"""What a detector finds in all pictures of a set."""

from __future__ import annotations

from collections.abc import Callable

from rl_abn.attention import MapOverride
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.detector import Detector
from rl_abn.vision.detection.found import Found

BATCH = 8
"""So many pictures are in memory at once."""


def detect_all(
    detector: Detector,
    examples: BoxedExamples,
    map_override: MapOverride | None = None,
    *,
    by_branch: bool = False,
    tick: Callable[[int], None] | None = None,
) -> list[Found]:
    """Asks a detector about all pictures, in order.

    Args:
        detector: In evaluation mode.
        examples: The pictures.
        map_override: Maps to act on instead of its own, or a function of them.
        by_branch: Whether the attention branch says the categories.
        tick: Told how many pictures are done.
    """
    found: list[Found] = []
    for _, images in examples.in_order(BATCH):
        found += detector.detect(images, map_override, by_branch=by_branch)
        if tick is not None:
            tick(len(found))
    return found
