"""Explains a run's detector: are its maps used, are they right, do they lie on what can be seen."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rl_abn.compute.device import device_of
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.methods import possible
from rl_abn.explain.randomisation import MakeMap, layers_of
from rl_abn.explain.study import study
from rl_abn.explain.study import work_of as study_work
from rl_abn.explain.subject import Subject
from rl_abn.explain.work import Work
from rl_abn.explain.written import PARTS, Written, folder_of, write_explanation
from rl_abn.files.parts import Part, Parts
from rl_abn.progress import ProgressReport
from rl_abn.runs.tensors import hash_of
from rl_abn.vision.detection.build import load_detector
from rl_abn.vision.detection.data import open_split
from rl_abn.vision.detection.draws import draws_of
from rl_abn.vision.detection.explanation_parts import (
    OWN,
    choose_objects,
    fixed_objects,
    moved_maps,
    precision_part,
    scores_of,
)
from rl_abn.vision.detection.explanation_report import Measured, detector_explanation
from rl_abn.vision.detection.objects import ProposalHeads, heads_subject, pool_boxes
from rl_abn.vision.detection.visible_parts import MAP, VisibleShares, shares_on_visible
from rl_abn.vision.evaluation.explanation_extent import FULL_EXTENT, VisionExtent
from rl_abn.vision.evaluation.splits import SplitName
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.training.prepare import data_of

_PICTURE = 400
"""About so much work is a picture in which objects are looked for, beside pooled features."""
_N_MOVES = 6


def explain_detector(
    run: VisionRun,
    extent: VisionExtent = FULL_EXTENT,
    *,
    data: Path | None = None,
    split: SplitName | None = None,
    out: Path | None = None,
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Written:
    """Explains a run's detector and writes what was found; the arguments are `explain_network`'s.

    Parts that are finished are kept in the folder; what is cut off goes on where it was.

    Raises:
        RlAbnError: If the checkpoint or the data cannot be used, or the folder not be written.
    """
    trained = load_detector(run, step=step, device=device_of(device))
    path = data or data_of(run)
    split_name, examples = open_split(run.recipe, trained.categories, path, split, trained.device)
    asked = choose_objects(examples, extent.pictures)
    heads = ProposalHeads(trained.detector).eval()
    subject = heads_subject(heads, pool_boxes(trained, examples, asked.by_picture()))
    has_maps = run.recipe.agent.attention.has_maps
    interventions = extent.interventions if has_maps else ()
    own: dict[str, MakeMap] = {MAP: Subject.own_map} if heads.abilities.maps == "spatial" else {}
    epoch, n = trained.checkpoint.step, len(examples)
    folder = out or folder_of(run.path, f"epoch-{epoch}", quick=extent.quick, seed=seed)
    few = asked.by_picture(extent.how.sanity_pictures)
    n_cells = subject.grid[0] * subject.grid[1]
    n_tested = len(possible(subject, subject.answers())) + len(own) + len(CONTROLS) + 1
    weights = study_work(subject.n, n_cells, len(layers_of(heads)), n_tested, extent.how)
    weights |= {f"scores-{name}": n * _PICTURE for name in (OWN, *interventions)}
    weights |= {"visible": n * _PICTURE // 2, "moved": len(few) * _N_MOVES * _PICTURE // 2}
    work = Work(weights, report)
    inputs = {
        "epoch": epoch,
        "weights": hash_of(trained.detector.state_dict()),
        "split": split_name,
        "data": examples.boxed.whole_fingerprint(),
        "pictures": asked.pictures.tolist(),
        "seed": seed,
    }
    parts = Parts(folder / PARTS, inputs, work.part_done)
    draws = draws_of(n, seed)
    scores = {
        name: parts.do(
            f"scores-{name}",
            partial(
                precision_part,
                trained,
                examples,
                None if name == OWN else name,
                draws,
                seed,
                lambda done, name=name: work.set(  # type: ignore[misc]
                    f"finding objects, {name} maps", done * _PICTURE
                ),
            ),
        )
        for name in (OWN, *interventions)
    }
    visible = parts.do("visible", lambda: _visible_part(shares_on_visible(trained, examples, seed)))
    fixed: dict[str, np.ndarray] = {}
    if has_maps:
        fixed = parts.do(
            "objects",
            lambda: fixed_objects(heads, subject, interventions, seed),
            interventions=list(interventions),
        ).arrays
    moved = parts.do(
        "moved", lambda: moved_maps(trained, examples, few, own, seed), few=list(few)
    ).arrays
    tested = study(parts, subject, own, extent.how, seed=seed, tick=work.tell)
    stable: dict[str, dict[str, np.ndarray]] = {}
    for key, values in moved.items():
        name, change = key.split("|")
        stable.setdefault(name, {})[change] = values
    measured = Measured(
        examples,
        asked,
        split_name,
        scores_of(scores, n),
        fixed,
        _visible_of(visible),
        tested._replace(stability=stable),
    )
    explanation = detector_explanation(run, trained, extent, seed, measured)
    work.finish()
    return write_explanation(folder, explanation)


def _visible_part(found: VisibleShares) -> Part:
    return Part(list(found.shares), {"pictures": found.pictures, **found.shares})


def _visible_of(part: Part) -> VisibleShares:
    return VisibleShares({name: part.arrays[name] for name in part.result}, part.arrays["pictures"])
