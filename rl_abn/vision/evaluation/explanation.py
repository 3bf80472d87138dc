"""Explains a run's network: is its map used, is it right, is it better than simple ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rl_abn.compute.device import device_of
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.methods import possible
from rl_abn.explain.randomisation import layers_of
from rl_abn.explain.study import study
from rl_abn.explain.study import work_of as study_work
from rl_abn.explain.work import Work
from rl_abn.explain.written import PARTS, Written, folder_of, write_explanation
from rl_abn.files.parts import Parts
from rl_abn.progress import ProgressReport
from rl_abn.runs.tensors import hash_of
from rl_abn.vision.evaluation.explained_network import network_subject, own_maps
from rl_abn.vision.evaluation.explanation_extent import FULL_EXTENT, VisionExtent
from rl_abn.vision.evaluation.explanation_parts import (
    fixed_pictures,
    read_pictures,
    replaced_scores,
)
from rl_abn.vision.evaluation.explanation_report import Measured, network_explanation
from rl_abn.vision.evaluation.splits import SplitName, open_split, usual_split
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import data_of


def explain_network(
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
    """Explains a run's network and writes what was found.

    Parts that are finished are kept in the folder; what is cut off goes on where it was.

    Args:
        run: Whose network.
        extent: How much is done.
        data: Where the data lies; None is where it lay in training.
        split: "test" or "held_out"; None is the test pictures, where there are any.
        out: The folder; None is explanations/ in the run folder.
        step: The checkpoint's epoch; None is the newest.
        seed: Of everything that is drawn.
        device: Where the network runs.
        report: Progress display, in shares of the work.

    Raises:
        RlAbnError: If the checkpoint or the data cannot be used, or the folder not be written.
    """
    trained = load_network(run, step=step, device=device_of(device))
    path = data or data_of(run)
    split = split or usual_split(run, path)
    examples = open_split(run, trained.outputs, path, split, trained.device)
    asked = read_pictures(trained, examples, extent.pictures)
    network = trained.network
    has_maps = run.recipe.agent.attention.has_maps
    interventions = extent.interventions if has_maps else ()
    subject = network_subject(network, asked.images, asked.speed)
    point = f"epoch-{trained.checkpoint.step}"
    folder = out or folder_of(run.path, point, quick=extent.quick, seed=seed)
    n_layers, n_cells = len(layers_of(network)), subject.grid[0] * subject.grid[1]
    n_tested = len(possible(subject, subject.answers())) + len(CONTROLS) + 2
    weights = study_work(subject.n, n_cells, n_layers, n_tested, extent.how)
    weights["scores"] = asked.n_split * (1 + len(interventions))
    weights["pictures"] = subject.n * len(interventions)
    work = Work(weights, report)
    inputs = {
        "epoch": trained.checkpoint.step,
        "weights": hash_of(network.state_dict()),
        "split": split,
        "pictures": asked.numbers.tolist(),
        "asked": asked.fingerprint,
        "seed": seed,
    }
    parts = Parts(folder / PARTS, inputs, work.part_done)
    own = own_maps(subject)
    scores = parts.do(
        "scores",
        lambda: replaced_scores(run, trained, examples, path, split, interventions, seed),
        interventions=list(interventions),
        examples=examples.fingerprint,
    ).result
    fixed: dict[str, np.ndarray] = {}
    if has_maps:
        fixed = parts.do(
            "pictures",
            lambda: fixed_pictures(network, asked, interventions, seed),
            interventions=list(interventions),
        ).arrays
    tested = study(parts, subject, own, extent.how, seed=seed, tick=work.tell)
    measured = Measured(asked, split, scores, fixed, tested)
    explanation = network_explanation(run, trained, extent, seed, measured)
    work.finish()
    return write_explanation(folder, explanation)
