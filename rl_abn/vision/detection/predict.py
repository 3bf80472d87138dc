"""What a detector finds in all pictures of a set."""

from __future__ import annotations

from rl_abn.attention import MapOverride
from rl_abn.progress import ProgressReport
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
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> list[Found]:
    """Asks a detector about all pictures, in order.

    Args:
        detector: In evaluation mode.
        examples: The pictures.
        map_override: Maps to act on instead of its own, or a function of them.
        by_branch: Whether the attention branch says the categories.
        report: Shows how far it is, in pictures.
        done_before: Pictures that the report counts already.
    """
    found: list[Found] = []
    for _, images in examples.in_order(BATCH):
        found += detector.detect(images, map_override, by_branch=by_branch)
        if report is not None:
            report.update(done_before + len(found))
    return found
