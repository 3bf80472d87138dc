"""A detector's explanation, put together of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from rl_abn import __version__
from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import Certificate, Line, Lost
from rl_abn.explain.examples import example_sheet
from rl_abn.explain.findings import findings, mean_changes
from rl_abn.explain.report import (
    Block,
    Chart,
    Explanation,
    Picture,
    Table,
    map_tables,
    methods_said,
    sanity_blocks,
)
from rl_abn.explain.statements import (
    asked_of,
    certificate_of,
    examples,
    interval_caveat,
    quick_caveat,
    removal_caveat,
)
from rl_abn.explain.study import Study
from rl_abn.vision.detection.build import TrainedDetector
from rl_abn.vision.detection.crops import crop
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.explanation_parts import ExplainedObjects
from rl_abn.vision.detection.visible_findings import visible_blocks, visible_found, visible_line
from rl_abn.vision.detection.visible_parts import VisibleShares
from rl_abn.vision.evaluation.explanation_extent import VisionExtent
from rl_abn.vision.evaluation.explanation_parts import share_lost
from rl_abn.vision.evaluation.explanation_report import SHOWN, used_blocks
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.visualize.look import pixels_of

_SIDE, _N_SHOWN = 150, 6


class Measured(NamedTuple):
    """What was measured of a detector.

    Attributes:
        examples: The split.
        asked: The objects that maps are tested on.
        split: Its name.
        scores: As `scores_of` returns them.
        fixed: As `fixed_objects` returns them; empty without maps.
        visible: Where maps lie on occluded objects.
        tested: The study of maps.
    """

    examples: BoxedExamples
    asked: ExplainedObjects
    split: str
    scores: Mapping[str, Any]
    fixed: Mapping[str, np.ndarray]
    visible: VisibleShares
    tested: Study


def detector_explanation(
    run: VisionRun, trained: TrainedDetector, extent: VisionExtent, seed: int, measured: Measured
) -> Explanation:
    """Puts an explanation together.

    Args:
        run: Whose detector.
        trained: The detector.
        extent: How much was done.
        seed: Of the bootstraps.
        measured: What was measured.
    """
    scores, tested = measured.scores, measured.tested
    split, n = measured.split.replace("_", " "), len(measured.asked.pictures)
    found = findings(tested, seed=seed)
    own, epoch = Estimate(*scores["own"]), trained.checkpoint.step
    lost = [
        Lost(name, share_lost(Estimate(*row["difference"]), own.value, is_error=False))
        for name, row in scores["rows"].items()
    ]
    changes = mean_changes(measured.fixed, "kl", seed)
    visible = visible_found(measured.visible, found.primary)
    lines = certificate_of(found, lost, kl=changes or None, what=scores["metric"]).lines
    certificate = Certificate(
        tuple(
            visible_line(visible, found.primary)
            if line.question == "objects"
            else _of_objects(line)
            for line in lines
        )
    )
    name, data = run.recipe.agent_name, run.recipe.env.title
    return Explanation(
        title=f"Where does {name} look in {data}, and does it matter?",
        subtitle=(
            f"{run.path.name}, epoch {epoch}; AP {own:.3f} on {scores['n']:,} {split} pictures; "
            f"maps tested on {n} objects, each of another picture; 95% bootstrap intervals; "
            f"rl-abn {__version__}"
        ),
        certificate=certificate,
        sections=[
            ("Is it used?", _used_blocks(own, scores, lost, changes)),
            ("Does it mark what matters?", map_tables(tested, found)),
            ("What does it lie on?", visible_blocks(visible, found.primary)),
            ("Is it sane?", sanity_blocks(tested, found)),
            ("Pictures", [_examples(measured, trained.categories.names)]),
        ],
        asked={
            "detector": f"{name}, epoch {epoch}",
            "run": str(run.path),
            "data": f"{data}, {split}",
            "objects": f"{n}, one of a picture, spread over the split",
            **asked_of(tested, extent.how, seed, quick=extent.quick),
        },
        methods=[
            (
                "cells",
                "of an object's pooled features, 7×7 in its true box: they are removed and shown, "
                "and the box head says what category it is, or that it is none",
            ),
            ("another moment", "of a detector: another object, of another picture"),
            *((what, says) for what, says in methods_said(tested) if what != "another moment"),
        ],
        caveats=_caveats(extent),
        data={
            "network": {"name": name, "run": str(run.path), "epoch": epoch},
            "scores": dict(scores),
            "used": {each.name: {"share": each.share._asdict()} for each in lost},
            "pictures_change": {
                "response": "kl",
                **{which: value._asdict() for which, value in changes.items()},
            },
            "visible_mass": None if visible is None else visible.as_json(),
            "maps": found.as_json(),
        },
    )


def _used_blocks(
    own: Estimate,
    scores: Mapping[str, Any],
    lost: Sequence[Lost],
    changes: Mapping[str, Estimate],
) -> list[Block]:
    """Returns the blocks of all networks, as they are said of boxes."""
    blocks: list[Block] = []
    for block in used_blocks("AP", own, scores, lost, changes, "kl"):
        if isinstance(block, Table):
            says = (
                f"Over all {scores['n']:,} pictures, with the maps of all proposals replaced; "
                "differences are of the same draws of pictures. In the last column less than 0 is "
                "worse."
            )
            blocks.append(block._replace(says=says))
        elif isinstance(block, Chart):
            title = "Change of the answers to fixed objects"
            says = "KL of the box head's own answers from those with the map replaced."
            blocks.append(block._replace(title=title, says=says))
        else:
            blocks.append(block)
    return blocks


def _of_objects(line: Line) -> Line:
    """Returns a line that speaks of moments as it is said of a detector's objects."""
    text = line.text
    for said, of_objects in (
        ("another moment's", "another object's"),
        ("Another moment's", "Another object's"),
        ("another moment", "another object"),
        ("that it is of now", "that it is of this object"),
        ("its place counts, not its moment", "its usual place counts, not the object"),
        ("with another picture", "with another object"),
        ("in every picture", "of every object"),
    ):
        text = text.replace(said, of_objects)
    return line._replace(text=text)


def _examples(measured: Measured, categories: tuple[str, ...]) -> Picture:
    asked, tested = measured.asked, measured.tested
    n = min(_N_SHOWN, len(asked.pictures))
    shown = {
        which: tested.maps[which][:n] for which in (tested.primary, *SHOWN) if which in tested.maps
    }
    screens, labels = [], []
    for number, box, visible, label in zip(*(of[:n] for of in asked), strict=True):
        frame = pixels_of(measured.examples.pixels(int(number)))
        screen = crop(frame, box, (_SIDE, _SIDE))
        factors = _SIDE / (box[2:] - box[:2])
        corners = (visible.reshape(2, 2) - box[:2]) * factors
        if not np.array_equal(visible, box):
            (x1, y1), (x2, y2) = corners.round().astype(int).tolist()
            cv2.rectangle(screen, (x1, y1), (x2 - 1, y2 - 1), (255, 255, 255), 1)
        screens.append(screen)
        labels.append(f"{categories[label - 1]}, picture {number:,}")
    renamed = {
        "another object" if which == "another moment" else which: maps
        for which, maps in shown.items()
    }
    png = example_sheet(screens, renamed, labels, titles=("the object",), width=_SIDE)
    title = f"{n} objects: their boxes, drawn square; a line is around what is visible"
    return examples(title, png)


def _caveats(extent: VisionExtent) -> list[str]:
    said = [
        "An intervention shows whether this detector's AP depends on this property of its maps, "
        "not that they are right because of what lies under them.",
        "Cells are of pooled features, each of which has seen more of the picture than its place.",
        "Weights are drawn anew in the heads alone: branch, box head and its last layer, not in "
        "the trunk.",
        removal_caveat("features"),
        "Occlusion removes single cells, as deletion does: it is close to what deletion asks for.",
        interval_caveat("pictures of one trained detector"),
    ]
    if extent.quick:
        said.append(quick_caveat("objects"))
    return said
