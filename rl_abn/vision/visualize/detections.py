"""Records a detector: a sheet of pictures with their boxes and the map of each found object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from rl_abn.attention import Abilities
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.render import Scale, scale_of
from rl_abn.vision.detection.annotations import Picture
from rl_abn.vision.detection.build import TrainedDetector, load_detector
from rl_abn.vision.detection.data import BoxedExamples, open_split
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.mistakes import judge
from rl_abn.vision.detection.predict import BATCH
from rl_abn.vision.evaluation.splits import SplitName
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.training.prepare import data_of
from rl_abn.vision.visualize.box_sheet import DetectedExample, FoundBox, TrueBox, draw_box_sheet
from rl_abn.vision.visualize.look import pixels_of
from rl_abn.vision.visualize.sheets import LOOKED_AT, choose, write_png
from rl_abn.vision.visualize.watch import N_PICTURES, Recording, Wanted


def record_detector(
    run: VisionRun,
    *,
    data: Path | None = None,
    out: Path | None = None,
    split: SplitName | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 - a tuple never changes
    scale: Scale = "fixed",
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Recording:
    """Draws a sheet of a detector's pictures, half of them with mistakes where there are so many.

    They are drawn at random; the detector looks at 2,000 pictures at most to find so many. The
    arguments are those of `record_run`; `report` shows how many pictures were looked at.

    Raises:
        RlAbnError: If the checkpoint, the data or the file will not do, or something is wanted that
            a sheet of boxes does not have.
    """
    _check(run, out, wanted)
    trained = load_detector(run, step=step, device=device_of(device))
    categories = trained.categories
    name, examples = open_split(run.recipe, categories, data or data_of(run), split, trained.device)
    n = min(wanted.pictures or N_PICTURES, len(examples))
    chosen = choose(_examples(trained, examples, seed, report), n)
    epoch = trained.checkpoint.step
    title = f"{run.recipe.agent_name} on {run.recipe.env.title}, epoch {epoch}"
    out = out or run.path / "sheets" / f"epoch-{epoch}-{name.replace('_', '-')}.png"
    scale = scale_of(scale, sums_to_one=trained.detector.abilities.sums_to_one)
    write_png(out, draw_box_sheet(chosen, title, scale))
    return Recording(out, n, n_wrong=sum(not example.is_right for example in chosen))


def detected_example(
    frame: np.ndarray,
    picture: Picture,
    found: Found,
    categories: Sequence[str],
    abilities: Abilities,
) -> DetectedExample:
    """Returns a picture with its objects and what was found, as a sheet shows it.

    Args:
        frame: uint8 [H, W, 3].
        picture: What is there.
        found: What was found; of it, what is sure enough is shown.
        categories: Names of the categories 1 to K.
        abilities: The mechanism's, which say how its maps are drawn.
    """
    judged = judge(picture, found)
    maps = abilities.drawn(found.maps) if found.maps.shape[1] else found.maps
    return DetectedExample(
        frame,
        [
            TrueBox(box, categories[label - 1], bool(missed))
            for box, label, missed in zip(picture.boxes, picture.labels, judged.missed, strict=True)
        ],
        [
            FoundBox(
                found.boxes[i],
                categories[found.labels[i] - 1],
                float(found.scores[i]),
                verdict,
                found.proposals[i],
                maps[i],
            )
            for i, verdict in zip(judged.numbers, judged.verdicts, strict=True)
        ],
        judged.is_right,
    )


def _examples(
    trained: TrainedDetector, examples: BoxedExamples, seed: int, report: ProgressReport | None
) -> Iterator[DetectedExample]:
    """Yields pictures in a random order, with what is found in them."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(examples), generator=generator)[:LOOKED_AT]
    detector, categories = trained.detector, trained.categories.names
    done = 0
    for some in order.split(BATCH):
        numbers = some.tolist()
        images, _ = examples.batch(numbers)
        for number, found in zip(numbers, detector.detect(images), strict=True):
            frame = pixels_of(examples.pixels(number))
            picture = examples.boxed.pictures[number]
            yield detected_example(frame, picture, found, categories, detector.abilities)
        done += len(numbers)
        if report is not None:
            report.update(done)


def _check(run: VisionRun, out: Path | None, wanted: Wanted) -> None:
    if wanted.tasks:
        raise RlAbnError(
            f"expected --tasks for a network of tasks, got '{run.recipe.agent_name}', which is a "
            "detector"
        )
    if wanted.frames is not None or wanted.seconds is not None:
        raise RlAbnError("expected --pictures for a sheet, got --frames or --seconds")
    if out is not None and out.suffix.lower() != ".png":
        raise RlAbnError(f"expected a file that ends in .png, got '{out}'")
